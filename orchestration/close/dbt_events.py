"""dbt's debug events, of which it makes thirty a model, are not built while nobody reads them.

What belongs here: leaving them out. What does not: running dbt (`dbt_build`), or any event of another level.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_debug() -> Iterator[None]:
    """Within this, dbt neither fills nor sends an event of the level debug.

    dbt turns each event into a message before it asks whether a logger or a callback wants it, which was a fifth of the
    time of a small close. Its logs are off here, and our callback takes results, which are of another level. An event
    whose content is asked for all the same is filled then.
    """
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
    from dbt_common.events.event_manager import EventManager

    fill: Any = BaseEvent.__init__
    send: Any = EventManager.fire_event
    look_up: Any = BaseEvent.__getattr__

    def keep_for_later(event: BaseEvent, *positional: Any, **content: Any) -> None:
        if isinstance(event, DebugLevel):
            event.__dict__["given"] = (positional, content)
        else:
            fill(event, *positional, **content)

    def look_up_or_fill(event: BaseEvent, name: str) -> Any:
        if "pb_msg" not in event.__dict__ and "given" in event.__dict__:
            positional, content = event.__dict__["given"]
            fill(event, *positional, **content)
            return getattr(event, name)
        return look_up(event, name)

    # The names of the arguments are dbt's.
    def send_if_read(manager: Any, e: BaseEvent, level: EventLevel | None = None, *how: Any, **more: Any) -> None:
        if (level or e.level_tag()) is not EventLevel.DEBUG:
            send(manager, e, level, *how, **more)

    patches = [
        (BaseEvent, "__init__", keep_for_later, fill),
        (BaseEvent, "__getattr__", look_up_or_fill, look_up),
        (EventManager, "fire_event", send_if_read, send),
    ]
    for owner, name, ours, _ in patches:
        setattr(owner, name, ours)
    try:
        yield
    finally:
        for owner, name, _, theirs in patches:
            setattr(owner, name, theirs)
