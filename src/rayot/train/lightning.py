"""Lightning as a well-mannered guest: no notes on devices, and Ctrl-C given back."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Lightning's notes on devices and data loaders, which do not concern our users."""
    before = getattr(_this_thread, "is_quiet", False)
    _this_thread.is_quiet = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", category=UserWarning, message=".*litlogger.*")
            yield
    finally:
        _this_thread.is_quiet = before


def _is_shown(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_this_thread, "is_quiet", False)


# Levels belong to the process, and joblib may fit in several of its threads.
_this_thread = threading.local()
logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_shown)


@contextmanager
def interruptible() -> Iterator[None]:
    """Give Ctrl-C back as KeyboardInterrupt.

    Lightning turns it into SystemExit and leaves the process deaf to further interrupts, which in
    a notebook is the kernel.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        if isinstance(exit_.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
