// Generated from format_schema.json by pack.py; a test compares the two.

// prettier-ignore
export const FORMAT_SCHEMA = {
  "about": "What Python sends to the viewer: magic, uint32 version, uint32 length of the header, the header (UTF-8 JSON, padded with spaces), the sections; integers are little-endian, and the header and every section end at a multiple of align, counted from the start. A section is named KIND or KIND/REF, where REF is a MapRef such as 5:mean or tower.layers/5:mean, or the number of a map in header.maps. A run along training has a timeline (training scenes seen, and the probabilities of the answers, at each checkpoint), and its sections end in @ and the number of the checkpoint. Schemas below: text, integer and number are plain values; [x] is a list of x, [x, y] exactly these two; {\"*\": x} has any keys, other objects exactly their keys; {\"nullable\": x} is x or null; {\"enum\": [...]} is one of these texts; \"@view\" is the view below. The answer to a viewer that already has the run has the header called part. header.maps[].ref is the MapRef of the map without its head, whose stack may hold any character, slashes too; taken says what takes a share of its rows, and windows is the number of windows that attention runs within, 0 for none; header.answer_tokens is the token of each stream that is chosen first; header.answer_words are the tokens of a stream that the model wrote, each from the token before it; source says whether all weights are here, or rows and windows can be requested (kept), or only overviews are left; background names the maps, such as map/5:mean, that the viewer requests by itself once it is in use.",
  "magic": "MMVW",
  "version": 5,
  "align": 8,
  "codes": {"linear": 10000, "per_decade": 9000, "decades": 6, "unit_exponent": 9},
  "thumbnail_bins": 24,
  "window_bins": 512,
  "modalities": ["image", "text", "audio", "special"],
  "sections": {
    "codes": {"type": "uint16", "axes": ["query", "key"], "about": "a map, 16-bit quantized"},
    "overview": {"type": "uint16", "axes": ["query bin", "key bin"], "about": "a map without all its weights, 16-bit quantized: the mean weight in each bin"},
    "row": {"type": "uint16", "axes": ["token"], "about": "an exact row (from) or column (to) of such a map, 16-bit quantized; named row/REF/DIRECTION/TOKEN"},
    "window": {"type": "uint16", "axes": ["query bin", "key bin"], "about": "a window of such a map, 16-bit quantized: mean weights over bins; named window/REF/FIRST-LAST/FIRST-LAST, queries then keys; bin k of n begins at FIRST + floor((LAST - FIRST) * k / n)"},
    "from": {"type": "float32", "axes": ["query", "modality"], "about": "sums of a map over the keys of each modality"},
    "to": {"type": "float32", "axes": ["key", "modality"], "about": "sums of a map over the queries of each modality"},
    "matrix": {"type": "float32", "axes": ["query modality", "key modality"], "about": "sums of a map over the keys of a modality, mean over the queries of a modality; 0 where there are none"},
    "thumbnails": {"type": "uint16", "axes": ["head", "query bin", "key bin"], "about": "every head of a map, then their mean, 16-bit quantized: mean weights over bins"},
    "steps": {"type": "float32", "axes": ["head", "token", "number"], "about": "an array of the steps of a map, named steps/MAP/ARRAY, see mmviz.types.AttentionSteps; what the heads share has one head, a bias one token; weights are the model's own; without a context, it is the state"},
    "image": {"type": "uint8", "axes": ["byte"], "about": "a JPEG"},
    "wave": {"type": "int16", "axes": ["sample"], "about": "the audio, one channel, full scale 32767"},
    "mel": {"type": "uint8", "axes": ["band", "hop"], "about": "the mel spectrogram, lowest band first, 0 to 255 for 80 dB below the loudest to the loudest"}
  },
  "header": {
    "run": "text",
    "sections": {"*": {"offset": "integer", "shape": ["integer"], "decade": {"nullable": "integer"}}},
    "streams": {"*": {"modality": [{"enum": ["image", "text", "audio", "special"]}], "name": ["text"], "location": [{"nullable": ["number"]}], "full_name": ["text"]}},
    "answer_tokens": {"*": "integer"},
    "answer_words": {"*": ["integer"]},
    "default_stack": "text",
    "bins": {"*": ["integer"]},
    "maps": [{"name": "text", "ref": "text", "stack": "text", "stack_name": "text", "layer": "integer", "queries": "text", "keys": "text", "heads": "integer", "edges": {"nullable": {"queries": ["integer"], "keys": ["integer"]}}, "absorbed_by": {"enum": ["", "sink", "mask", "padding"]}, "windows": "integer"}],
    "steps": {"nullable": [{"scale": "number", "ablated_heads": ["integer"]}]},
    "timeline": {"nullable": {"scenes": ["integer"], "answers": ["text"], "probabilities": [["number"]]}},
    "source": {"enum": ["whole", "kept", "overview"]},
    "flows": {"*": ["text", "text"]},
    "map_refs": ["text"],
    "background": ["text"],
    "image": {"nullable": {"width": "integer", "height": "integer", "parts": [{"box": ["number", "number", "number", "number"], "name": "text"}], "note": "text"}},
    "audio": {"nullable": {"seconds": "number", "rate": "integer", "hop_seconds": "number", "ticks": [["number", "number"]], "parts": [["number", "number"]]}},
    "text_pieces": {"*": [["text", {"nullable": "integer"}]]},
    "answers": [["text", "number"]],
    "answer_count": "integer",
    "initial_view": "@view",
    "view": {"nullable": "@view"},
    "serial": "integer",
    "texts": {"*": "text"},
    "language": "text"
  },
  "part": {
    "run": "text",
    "serial": "integer",
    "source": {"enum": ["whole", "kept", "overview"]},
    "sections": {"*": {"offset": "integer", "shape": ["integer"], "decade": {"nullable": "integer"}}}
  },
  "view": {
    "tokens": ["integer"],
    "versus": ["integer"],
    "direction": {"enum": ["from", "to"]},
    "map": "text",
    "style": {"enum": ["spotlight", "heat"]},
    "scale": {"enum": ["view", "map"]}
  }
};
