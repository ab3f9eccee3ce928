"""The errors that squeezelab raises on purpose; each message is one line: what is wrong, and what to do."""


class SqueezelabError(Exception):
    """Base of all errors that are for the user to read; the command line prints its message and exits with 2."""


class InvalidRequestError(SqueezelabError, ValueError):
    """An option, name or parameter that does not exist or does not fit."""


class DataSourceError(SqueezelabError):
    """A source of data that cannot be reached or holds nothing usable."""


class CorruptDataError(SqueezelabError, ValueError):
    """Bytes that are not a whole, undamaged frame or file of the codec or format that was asked to read them."""


class EngineError(SqueezelabError):
    """A database that is missing, refuses, crashes, or takes too long."""


class OutOfTimeError(EngineError):
    """A database that was ended because it took too long."""
