"""Why a training run ends without a published model, in words for the person who started it."""


class TrainingFailed(Exception):
    """A run that stops here; its text goes to the terminal."""


class UnknownRecipe(TrainingFailed):
    """No recipe of that name."""


class UnusableRecipe(TrainingFailed):
    """The recipe's file holds no recipe that could be trained."""


class NotSearchable(TrainingFailed):
    """The recipe's file does not say what could be searched."""


class StudyInUse(TrainingFailed):
    """Another process searches there."""


class ProcessLost(TrainingFailed):
    """Another process of a fit has ended, or cannot be reached."""


class NotTogether(TrainingFailed):
    """A fit that several processes cannot make together."""


class DataNotFetched(TrainingFailed):
    """A package with data cannot be had here, or it is not the one that was pinned."""


class RunNotFound(TrainingFailed):
    """No saved run to work on, or one that the recipe no longer describes."""


class UnfitDataset(TrainingFailed):
    """A data set that could be trained on and not be served."""


class Diverged(TrainingFailed):
    """The validation loss was never a finite number."""


class ExportFailed(TrainingFailed):
    """The network cannot be exported as a graph that serves any number of rows."""


class NotProbabilities(TrainingFailed):
    """The network of a data set with labels does not answer with probabilities."""


class ParityFailed(TrainingFailed):
    """The exported graph does not answer as the network does."""


class NotAccepted(TrainingFailed):
    """The held-out metrics are outside the recipe's bounds."""


class UnreadableTable(TrainingFailed):
    """A file that is no table, or one that is too large."""


class UnfitTable(TrainingFailed):
    """A table from which nothing could be learnt as it stands, and what would change that."""


class NoPlaceForTable(TrainingFailed):
    """A file has no place for the table of models."""


class NotTracked(TrainingFailed):
    """The tracking server cannot be had, or does not know what was asked for."""
