"""The examination of answers: recorded incidents, questions about them, and a strict examiner."""
