"""The errors a user can cause, each with the exit status the command line gives it. Everything else is a bug."""


class Refused(Exception):
    """What will not do. Nothing was changed; the message says what, where and the way out."""

    exit_status = 1


class Damaged(Exception):
    """A stored byte, frozen or landed, does not match its hash. Never repaired, only reported."""

    exit_status = 3
