"""Encoders of pictures and sounds that were trained on photographs and on people's speech, frozen."""
