"""``python -m bot.bench``: what the product costs and how fast it is, measured here and now. Never part of a test."""
