from . import download, metrics
