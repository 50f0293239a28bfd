"""dbt's events while debug events are left out: the others come as they are, and nothing stays changed."""

from dbt.adapters.events.types import SQLCommit
from dbt.events.types import RunningOperationCaughtError
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.types import Note

from orchestration.close import dbt_events


def test_debug_events_are_left_out_and_all_others_are_sent():
    sent: list[tuple[str, str]] = []
    manager = EventManager()
    manager.callbacks.append(lambda message: sent.append((message.info.name, message.info.level)))
    with dbt_events.without_debug():
        manager.fire_event(SQLCommit(conn_name="nobody reads this"))
        manager.fire_event(e=Note(msg="a warning"), level=EventLevel.WARN)
        manager.fire_event(RunningOperationCaughtError(exc="an error"))
        # A debug event that is sent as something else, and one whose content is asked for, are filled.
        manager.fire_event(SQLCommit(conn_name="told"), EventLevel.INFO)
        assert SQLCommit(conn_name="asked for").message() == "On asked for: COMMIT"
        assert SQLCommit(conn_name="asked for").conn_name == "asked for"
    assert sent == [("Note", "warn"), ("RunningOperationCaughtError", "error"), ("SQLCommit", "info")]


def test_dbt_is_put_back_as_it_was():
    before = BaseEvent.__init__, BaseEvent.__getattr__, EventManager.fire_event
    try:
        with dbt_events.without_debug():
            assert before != (BaseEvent.__init__, BaseEvent.__getattr__, EventManager.fire_event)
            raise KeyError
    except KeyError:
        pass
    assert before == (BaseEvent.__init__, BaseEvent.__getattr__, EventManager.fire_event)
