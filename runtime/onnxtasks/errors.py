"""Every error that onnxtasks raises on purpose.

* OnnxTasksError
  - BundleError: a bundle is missing, damaged, of another schema version, or unknown.
  - BusyError: more is asked at once than can be answered now.
  - DeviceError: a device was asked for and is not really there.
  - InputError (also ValueError): the caller's text, image, sound or option cannot be used.
  - GraphError: a session refused its feeds.
  - ExportError: a checkpoint could not be turned into a bundle.
    + ParityError: the bundle answers differently from the original.
    + UnsupportedModelError: no export for this architecture or task.

`TruncationWarning` and `DamagedRecordingWarning` are warnings: only a part of an input was used.
"""


class OnnxTasksError(Exception):
    """Base of all errors of this package."""


class BundleError(OnnxTasksError):
    """A bundle is missing, damaged, of another schema version, or of an unknown task or variant."""


class BusyError(OnnxTasksError):
    """More is asked than can be answered now: the line is full, or the time for an answer is up."""


class DeviceError(OnnxTasksError):
    """A device was asked for and is not active; the message says what is missing."""


class InputError(OnnxTasksError, ValueError):
    """The caller's text, image, sound or option cannot be used."""


class GraphError(OnnxTasksError):
    """A session refused its feeds; the message lists what it wants next to what it was given."""


class ExportError(OnnxTasksError):
    """A checkpoint could not be turned into a bundle."""


class ParityError(ExportError):
    """The bundle answers differently from the original checkpoint."""


class UnsupportedModelError(ExportError):
    """No export for this architecture or task; the message lists what is supported."""


class TruncationWarning(UserWarning):
    """Only a part of an input was used.

    A text was longer than the model takes and was cut, or a picture's file has several frames or
    pages, of which the first was taken.
    """


class DamagedRecordingWarning(UserWarning):
    """A recording could be read in part only; the answer is about that part.

    The message names the file and the second up to which it was read.
    """
