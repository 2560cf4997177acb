"""Everything docscan raises on purpose.

DocscanError
├── PageError           this page is unusable; the batch records it and goes on
├── SettingsError       the run was asked for something impossible; nothing is started
├── ModelError          the model is missing or breaks the contract; nothing is started
├── NothingToReadError  the scans named hold no page; nothing is started
├── EngineError         no worker can be started or reached; what was read by then is kept
└── OutputError         the output folder cannot be used
    └── OutputInUseError    ... because another run holds it

Messages are for the person at the desk: what was expected, what was found, what to do.
"""


class DocscanError(Exception):
    """The base of every error docscan raises on purpose."""


class PageError(DocscanError):
    """One page cannot be read; the reason is the message."""


class SettingsError(DocscanError):
    """A setting is unknown, out of range, or contradicts another."""


class ModelError(DocscanError):
    """The model file is missing, unreadable, or breaks its contract."""


class NothingToReadError(DocscanError):
    """The scans named hold no page docscan could try to read."""


class EngineError(DocscanError):
    """No worker that reads pages can be started or reached."""


class OutputError(DocscanError):
    """The output folder cannot be made, read or written."""


class OutputInUseError(OutputError):
    """Another run holds the output folder."""
