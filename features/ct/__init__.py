"""From a CT and the labels of its vertebrae to the dictionary's variables, each with its provenance.

``measure_scan`` in ``features.ct.scan`` does all of it; ``features.ct.report.query`` makes a risk query of the result.
Nothing here is imported by the service.
"""
