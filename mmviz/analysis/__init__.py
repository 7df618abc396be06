"""Arrays in, arrays out: what is looked at (`select`), by modality (`modality`), through the layers (`flow`)."""
