"""The texts of every error and notice about inputs: images, texts, audio, and folders of examples."""

from __future__ import annotations

INPUT_SENTENCES: dict[str, str] = {
    # inputs
    "input-none": "There is no input. Give an image, a text or an audio clip.",
    "file-missing": "There is no file {name} at this path. Check the path and try again.",
    "file-folder": "{name} is a folder. Give the path of a file in it.",
    "file-special": "{name} is not a regular file. Save its content as a file and give that.",
    "file-unreadable": "The file {name} cannot be opened. Check that you have permission to read it.",
    "upload-large": "This file has {megabytes:,.0f} MB. This page accepts at most {limit} MB. Give a smaller file.",
    "decoder-failed": "{decoder} failed in an unexpected way ({error}). This is a fault of mmviz or of this version of "
    "{package}, not of your file. Convert the file to {format}, or install another version of {package}.",
    "reading-failed": "{decoder} failed in an unexpected way ({error}) while it read this input. This is a fault of "
    "mmviz, not of the input. Try another format, and report the error.",
    "image-source": "An image must be a path, bytes, a Pillow image or a numpy array, not {kind}.",
    "image-empty": "The image has no pixels. Choose another file.",
    "image-format": "This file is in the {format} format, which mmviz does not read as an image. Save it as PNG, JPEG, "
    "WebP, AVIF, HEIC, TIFF, BMP or GIF.",
    "image-unknown": "This file is not in an image format that mmviz reads (PNG, JPEG, WebP, AVIF, HEIC, TIFF, BMP, "
    "GIF). Choose another file, or save the image as one of these.",
    "image-variant": "This {format} image is of a kind that mmviz cannot decode. Save it as an ordinary PNG or JPEG.",
    "image-decoder": "This installation has no decoder for {format}. Save the image as PNG or JPEG, or reinstall mmviz "
    "with its dependencies.",
    "image-damaged": "The image is damaged or incomplete and cannot be read. Save it again and retry.",
    "image-side": "The image is {width:,} x {height:,} pixels. mmviz accepts at most {limit:,} pixels per side. Make "
    "it smaller and try again.",
    "image-pixels": "The image is {width:,} x {height:,} pixels. mmviz accepts at most {limit} megapixels. Make it "
    "smaller and try again.",
    "image-narrow": "The image is {width:,} x {height:,} pixels. mmviz accepts an aspect ratio of at most {limit}:1. "
    "Crop it and try again.",
    "image-array": "An image array must be uint8 or float of shape [height, width] or [height, width, 3 or 4], not "
    "{dtype} of shape {shape}.",
    "image-values": "The image's values range from {low:g} to {high:g}, but 0 to {top:g} is expected. Rescale them "
    "first.",
    "image-mode": "The image has the colour mode {mode}, which mmviz cannot convert. Save it as RGB.",
    "image-turned": "The image was rotated upright, as its EXIF data says. Positions refer to the rotated image.",
    "image-alpha": "The image has transparent parts, which were put on white.",
    "image-palette": "The image's colour palette was converted to RGB.",
    "image-grey": "The image is greyscale and was converted to RGB.",
    "image-cmyk": "The image's CMYK colours were converted to RGB. They may look slightly different.",
    "image-colours": "The image's colours were converted from {mode} to RGB.",
    "image-deep": "The image's {bits}-bit values were scaled to 8 bits.",
    "image-profile": "The image's colours were converted from {profile} to sRGB.",
    "image-profile-ignored": "The image's colour profile ({profile}) could not be applied, so its colours may look "
    "slightly different.",
    "image-several": "The file contains {frames} images. mmviz uses image {frame}.",
    "image-depth": "The image's depth map is not used.",
    "image-16-bit": "The image's 16-bit values were scaled to 8 bits.",
    "image-32-bit": "The image's 32-bit values are at most 255 and were taken as 8-bit values.",
    "image-float": "The image's values from 0 to 1 were scaled to 8 bits.",
    "image-animated": "The image is animated. mmviz uses frame {frame} of {frames}.",
    "image-reduced": "The image is {width:,} x {height:,} pixels and was reduced to {kept_width:,} x {kept_height:,}. "
    "Positions still refer to the original.",
    "image-sheet": "The {count} pictures are shown on one sheet of {width:,} x {height:,} pixels.",
    "image-sheet-reduced": "The {count} pictures are shown on one sheet of {width:,} x {height:,} pixels, for which "
    "they were reduced.",
    "image-many": "There are {count} pictures; mmviz takes at most {limit}. Leave some out.",
    "video-frames": "Of the video, {count} frames are used, one every {step:.2f} s.",
    "video-none": "This file holds no video. Choose an MP4, MOV, MKV or WebM file, or an animated GIF, PNG or WebP.",
    "video-long": "The video is longer than {limit:.0f} s. Choose a part of it.",
    "video-damaged": "The video is damaged, or in a codec that mmviz does not read. Save it anew as MP4 (H.264).",
    "video-source": "A video must be a path or bytes, not {kind}.",
    "video-model": "{model} takes no video. Choose a picture.",
    "video-and-image": "A video takes the place of the image, so give either of them.",
    "audio-joined": "The {count} sounds are shown one after another.",
    "audio-source": "Audio must be a path, bytes or a numpy array with its sample rate, not {kind}.",
    "audio-empty": "The audio file is empty. Choose another file.",
    "audio-format": "This file is in the {format} format, which mmviz does not read as audio. Save it as WAV, FLAC, "
    "MP3 or M4A.",
    "audio-unknown": "This file is not in an audio format that mmviz reads, such as WAV, FLAC, OGG, MP3, M4A, AAC, "
    "AIFF, AMR, WMA or WebM. Choose another file, or save the audio as WAV.",
    "audio-codec": "The audio in this file is encoded as {codec}, which mmviz does not decode. Save it as WAV or M4A.",
    "audio-codec-unknown": "The audio in this file is encoded in a way that this installation cannot decode. Save it "
    "as WAV or M4A.",
    "audio-no-track": "This file has no audio track. Choose one that has.",
    "audio-changes": "The sample rate or the number of channels changes within the audio. Save it again with one of "
    "each.",
    "audio-damaged": "The audio is damaged or incomplete and cannot be read. Save it again and retry.",
    "audio-rate": "The audio has a sample rate of {rate:,} Hz. mmviz accepts {low:,} to {high:,} Hz. Convert it and "
    "try again.",
    "audio-no-rate": "An audio array needs its sample rate in Hz. Give both: (array, rate).",
    "audio-rate-value": "A sample rate must be a whole number of samples per second, not {rate!r}.",
    "audio-rate-known": "An audio file states its own sample rate. Give a rate only with an array.",
    "audio-channels": "The audio has {channels:,} channels. mmviz accepts 1 to {limit}. Mix it down and try again.",
    "audio-short": "The audio is {seconds:.3f} s long. mmviz needs at least {limit:g} s. Choose a longer clip.",
    "audio-long": "The audio is {seconds:,.1f} s long. mmviz accepts at most {limit:g} s. Cut out a part and try "
    "again.",
    "audio-longer": "The audio is longer than {limit:g} s, the most that mmviz accepts. Cut out a part and try again.",
    "audio-array": "An audio array must be float, int16 or int32 of shape [sample] or [sample, channel], not {dtype} "
    "of shape {shape}.",
    "audio-sideways": "An audio array must be [sample, channel], but this one has the shape {shape}. Transpose it.",
    "audio-not-finite": "The audio contains values that are infinite or not a number. Repair it and try again.",
    "audio-resampled": "The audio was resampled from {rate:,} Hz to {kept:,} Hz.",
    "audio-mixed": "The {channels} audio channels were mixed down to one.",
    "audio-silent": "The audio is silent, or nearly so.",
    "audio-cancels": "The {channels} audio channels cancel each other, so hardly anything is left after mixing. Give "
    "a single channel.",
    "audio-quieter": "The audio peaks at {peak:.2f} times full scale and was scaled down to fit.",
    "audio-clipped": "The audio is clipped for {share:.2%} of its duration: it was recorded too loud. If you can, "
    "record it again at a lower level.",
    "audio-video": "The file is a video. mmviz uses its audio and ignores the images.",
    "audio-delay": "The file does not state its encoder delay, so times may be up to {seconds:.2f} s late. Save it as "
    "WAV where that matters.",
    "audio-gap": "The recording has gaps of {seconds:.2f} s in all, which were left out. Times after them are earlier "
    "here than in a player.",
    "audio-open-end": "The audio file has no proper end. {seconds:.2f} s were read, and more may be missing. Save it "
    "again, preferably as WAV.",
    "audio-late-start": "The first {bytes:,} bytes of the audio file are no whole frame and were left out. The "
    "beginning of the recording may be missing.",
    "audio-incomplete": "The audio file should be {promised:.2f} s long, but contains only {seconds:.2f} s.",
    "text-type": "A text must be a string, not {kind}.",
    "text-blank": "The text is blank. Write something, or leave the text out.",
    "text-long": "The text has {length:,} characters. mmviz accepts at most {limit:,}. Shorten it and try again.",
    "text-surrogate": "The text contains a lone surrogate (half a character) at position {place:,}. Type that part "
    "again.",
    "text-invisible": "Invisible characters in the text, such as zero-width or direction marks: {count:,}. They are "
    "shown in their places.",
    # folders of examples
    "examples-folder": "There is no folder {name} that mmviz may read. Give the path of the folder with the examples.",
    "examples-empty": "The folder {name} contains no examples: neither an examples.json that lists them, nor images, "
    "audio and texts such as cat1.png, cat1.wav and cat1.txt. Put them there and try again.",
    "examples-list": "The file examples.json is not a list of examples ({why}). Correct it and try again.",
    "examples-csv": "The file {name} is not a table of examples ({why}). Correct it and try again.",
    "examples-row": "Example {number} of {name} has {cells} cells, but its first line names {columns} columns. "
    "Put a text with commas in quotation marks.",
    "archive-unreadable": "This .zip file cannot be unpacked: {why}. Pack the folder again, as an ordinary .zip file "
    "without a password.",
    "archive-name": "The .zip file has an entry {name}, which leads out of its folder. Pack the folder again.",
    "archive-twice": "Two of the files are called {name}. Give each its own name.",
    "archive-many": "These are {count:,} files. mmviz takes at most {limit:,} at once. Split them into several "
    "folders.",
    "archive-large": "Unpacked, these files have more than {megabytes:,.0f} MB, the most that mmviz takes at once. "
    "Split them into several folders.",
    "archive-mixed": "A .zip file was added together with other files. Add one .zip file, or the files of one folder.",
    "examples-entry": "In examples.json, {key} of example {number} is of type {kind}, not a string. Put it in "
    "quotation marks.",
    "examples-nothing": "The example {name} has no image, text or audio. Give it at least one, or delete it.",
    "examples-twice": "Two examples are called {name}. Give each its own name.",
    "examples-object": "Example {number} of examples.json is of type {kind}, not an object. Write it in braces.",
    "examples-part": "The file {file} belongs to this example, but mmviz cannot read it: it has another format, or is "
    "no ordinary file. Convert it, or move it out of the folder.",
    "examples-ending": "Its ending is not that of an image, a sound or a text that mmviz reads. Convert it, or move it "
    "out of the folder.",
    "examples-folder-inside": "This is a folder, and mmviz does not look into it. Move its files up, or give this "
    "folder instead.",
    "examples-link": "This link leads to no file. Correct it, or delete it.",
    "examples-pipe": "This is a pipe or a device, which mmviz does not read. Put a file in its place, or delete it.",
    "examples-same": "The files {file} and {other} are the same part of one example. Delete one of them.",
    "examples-file": "The example {example} names a file {file} that is not in its folder. Check the name.",
    "examples-outside": "The example {example} names {file}, which is outside its folder. Move the file into the "
    "folder.",
    "examples-places": "The places of the example {example} cannot be used: {why}. Write boxes in pixels and seconds "
    "of sound, such as {form}.",
    "text-file-encoding": "The text in {name} is neither UTF-8 nor UTF-16 with a byte order mark (byte {place:,}). It "
    "may be Latin-1 or another old encoding. Save it as UTF-8.",
    "text-file-long": "The text in {name} has more than {limit:,} characters. Shorten it.",
    "examples-many": "The folder contains {count:,} examples. mmviz accepts at most {limit:,} at once. Split them "
    "into several folders.",
    "effect-infinite": "The model gives the answer a probability of 0 or none at all, so the effect cannot be "
    "measured.",
}
