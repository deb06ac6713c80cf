"""Pictures, figures and words to judge a clip or a result by."""
