"""Which language is spoken, the catalogues of translations, and every sentence that a person may see, by area."""
