"""Settings: values that will not do are refused where they are read."""

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
