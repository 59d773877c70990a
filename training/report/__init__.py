"""What a training and its reader see of a model: aggregates of an evaluation, figures, the report, the comparison."""
