"""From a CT and the labels of its vertebrae to the dictionary's variables, each with its provenance.

``measure_scan`` in ``features.ct.scan`` does all of it; ``features.ct.question.query`` makes a risk query of it.
Nothing here is imported by the service.
"""
