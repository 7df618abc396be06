"""Languages, translation catalogues, and every sentence that a person may see, by area."""
