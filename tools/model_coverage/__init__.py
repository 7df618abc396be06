"""The coverage table: what capture records of tiny random builds of Hugging Face's models, and whether it is right."""
