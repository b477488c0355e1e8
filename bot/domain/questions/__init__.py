"""The kinds of question that are answered about an incident: one module for each family, one table of all of them."""
