"""What landing writes is its owner's alone, whoever calls. Closes are tested beside `tests/orchestration`."""

import os
import stat

from tests.unit.deliveries import ip_of, tenant, write_csv


def test_a_directory_that_was_opened_is_shut_by_the_next_landing(tmp_path, warehouse):
    warehouse.land("tenants", write_csv(tmp_path / "a.csv", tenant("alpha")))
    directory = warehouse.settings.landing / "tenants"
    directory.chmod(0o755)
    warehouse.land("ip_assignments", write_csv(tmp_path / "i.csv", ip_of("alpha")))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_what_python_lands_without_the_command_line_is_private_too(tmp_path, warehouse):
    mask = os.umask(0)
    try:
        warehouse.land("tenants", write_csv(tmp_path / "a.csv", tenant("alpha")))
        assert os.umask(0) == 0, "the caller's mask is the caller's again"
    finally:
        os.umask(mask)
    data = warehouse.settings.data
    batches = list((data / "landing" / "tenants").iterdir())
    private = [path for path in data.rglob("*") if path.is_dir() and path not in batches]
    assert len(batches) == 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o700}
