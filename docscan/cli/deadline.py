"""A time of day as people write it -> the moment it stands for."""

from datetime import datetime, time, timedelta

from docscan.errors import SettingsError


def next_moment(text: str, now: datetime) -> datetime:
    """The next time it is `06:00` here, or the moment `2026-11-27T06:00` names. Raises SettingsError in words.

    `now` is aware, and so is what is returned; a moment without an offset is local time.
    """
    try:
        at = time.fromisoformat(f"0{text}" if text[1:2] == ":" else text)
    except ValueError:
        return _named_moment(text, now)
    moment = datetime.combine(now.date(), at)
    is_over = moment.astimezone() <= now
    return (moment + timedelta(days=is_over)).astimezone()


def _named_moment(text: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise SettingsError(
            f"deadline {text!r} is no time; expected one such as 06:00, or with its date 2026-11-27T06:00"
        ) from error
    if moment <= now:
        raise SettingsError(f"deadline {text!r} is past: it is {now:%Y-%m-%d %H:%M} now")
    return moment
