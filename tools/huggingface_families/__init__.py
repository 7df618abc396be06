"""Which families of Hugging Face models work by their checkpoint alone, tried on the tiny ones of the tests."""
