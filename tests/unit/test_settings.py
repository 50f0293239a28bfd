"""Settings: values that will not do are refused where they are read."""

import re
from pathlib import Path

import pytest

from orchestration import dagster_run, settings
from orchestration.errors import Refused


@pytest.mark.parametrize("name", ["a*b", "a?b", "[ab]"])
def test_a_data_folder_that_reads_as_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(Refused, match="in its path"):
        settings.load(tmp_path / name / "data")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "with blank", "it's", "ümlaut]"])
def test_dagsters_telemetry_is_off_whatever_the_folder_is_called(tmp_path, monkeypatch, name):
    import dagster as dg

    for variable in ("DAGSTER_HOME", "STATEMENTS_DATA_DIR"):
        monkeypatch.setenv(variable, "")
    home = dagster_run.prepare_home(settings.load(tmp_path / name))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled


def test_the_hosts_of_a_proxy_are_read_as_browsers_write_them(tmp_path, monkeypatch):
    assert settings.load(tmp_path).ui_hosts == ()
    monkeypatch.setenv("STATEMENTS_UI_HOSTS", " Statements.Example.com ,127.0.0.1:8080,[2001:db8::1]:8443,")
    assert settings.load(tmp_path).ui_hosts == ("statements.example.com", "127.0.0.1:8080", "[2001:db8::1]:8443")


@pytest.mark.parametrize(
    "host",
    [
        "https://statements.example.com",
        "*",
        "*.example.com",
        "a.example/ui",
        "a b",
        "a:port",
        "a:",
        "::1",
        "a\nb",
        "é.example",
    ],
)
def test_what_can_be_no_host_is_refused(tmp_path, monkeypatch, host):
    monkeypatch.setenv("STATEMENTS_UI_HOSTS", f"statements.example.com,{host}")
    with pytest.raises(Refused, match="STATEMENTS_UI_HOSTS has .*: write hosts as a browser's address line shows them"):
        settings.load(tmp_path)


@pytest.mark.parametrize("mistyped", ["FIRST_MONHT", "MEMORY_LIMITS", "DEFAULT_CURENCY", "Grace_Hours", "ENGNE"])
def test_a_mistyped_setting_is_refused_with_the_name_that_was_meant(tmp_path, monkeypatch, mistyped):
    monkeypatch.setenv(f"STATEMENTS_{mistyped}", "1")
    with pytest.raises(Refused, match=r"is no setting\. Did you mean STATEMENTS_[A-Z_]+\? Rename or unset it\."):
        settings.load(tmp_path)


def test_a_variable_that_is_like_no_setting_is_somebody_elses(tmp_path, monkeypatch):
    for name in ("STATEMENTS_TEST_REACH", "STATEMENTS_VERSION", "STATEMENT_ENGINE"):
        monkeypatch.setenv(name, "1")
    settings.load(tmp_path)


def test_every_variable_that_is_read_is_a_known_name():
    text = Path(settings.__file__).read_text(encoding="utf-8")
    assert set(re.findall("STATEMENTS_([A-Z_]+)", text)) == set(settings.NAMES)


@pytest.mark.parametrize(
    ("cores", "memory", "threads"),
    [(2, "", 2), (64, "700MB", 5), (64, "4GB", 32), (64, "1MiB", 1), (8, "1GiB", 8), (16, "1GiB", 8)],
)
def test_there_are_no_more_threads_than_the_memory_has_room_for(tmp_path, monkeypatch, cores, memory, threads):
    """Sixteen threads within the usual limit could not land ten million records."""
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setenv("STATEMENTS_MEMORY_LIMIT", memory)
    assert settings.load(tmp_path).threads == threads
    monkeypatch.setenv("STATEMENTS_THREADS", "16")
    assert settings.load(tmp_path).threads == 16
