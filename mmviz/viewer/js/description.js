// Written from description.json, which a test holds it to.

// prettier-ignore
export const DESCRIPTION = {
  "about": "What Python sends to the viewer: magic, uint32 version, uint32 length of the header, the header (UTF-8 JSON, padded with spaces), the sections; whole numbers are little-endian, and the header and every section end at a multiple of align, counted from the start. A section is called by its kind, and after a slash by the plane or the map it belongs to; where there are moments (of training: scenes seen by then, and the probabilities of answers), then by @ and the number of the moment. Shapes below: text, whole and number are plain values; [x] is a list of x, [x, y] exactly these two; {\"*\": x} has any keys, other objects exactly their keys; {\"maybe\": x} is x or null; {\"one\": [...]} is one of these words; \"@view\" is the view below. An answer to a viewer that has the run already has the header called part.",
  "magic": "MMVW",
  "version": 1,
  "align": 8,
  "codes": {"plain": 10000, "power": 9000, "powers": 6, "below": 9},
  "bins": 24,
  "window": 512,
  "modalities": ["image", "text", "audio", "special"],
  "sections": {
    "codes": {"type": "uint16", "axes": ["query", "key"], "about": "one plane, in codes"},
    "overview": {"type": "uint16", "axes": ["bin", "bin"], "about": "one plane of a map without all its weights, in codes: the mean weight in each bin"},
    "row": {"type": "uint16", "axes": ["token"], "about": "what one token gives or gets in such a plane, in codes; called row/PLANE/DIRECTION/TOKEN"},
    "window": {"type": "uint16", "axes": ["bin", "bin"], "about": "a part of such a plane, in codes: means over bins; called window/PLANE/FIRST-LAST/FIRST-LAST, first the queries, then the keys; bin k of n begins FIRST + floor((LAST - FIRST) * k / n)"},
    "from": {"type": "float32", "axes": ["query", "modality"], "about": "its sums over the keys of each modality"},
    "to": {"type": "float32", "axes": ["key", "modality"], "about": "its sums over the queries of each modality"},
    "matrix": {"type": "float32", "axes": ["modality", "modality"], "about": "what a query of the row gives to all keys of the column, mean over the queries; 0 where there are none"},
    "thumbs": {"type": "uint16", "axes": ["head", "bin", "bin"], "about": "every head of a map, then their mean, in codes: means over bins of queries and of keys"},
    "steps": {"type": "float32", "axes": ["head", "token", "number"], "about": "a part of the steps of a map, called steps/MAP/PART, see mmviz.types.Steps; what its heads share has one head, a bias one token; weights are the model's own, and a context that is missing is the state"},
    "picture": {"type": "uint8", "axes": ["byte"], "about": "a JPEG"},
    "wave": {"type": "int16", "axes": ["sample"], "about": "the sound, one channel, 32767 is full scale"},
    "mel": {"type": "uint8", "axes": ["band", "hop"], "about": "its spectrogram, the lowest band first, 0 to 255 for 80 dB below the loudest to the loudest"}
  },
  "header": {
    "run": "text",
    "sections": {"*": {"offset": "whole", "shape": ["whole"], "decade": {"maybe": "whole"}}},
    "streams": {"*": {"modality": [{"one": ["image", "text", "audio", "special"]}], "name": ["text"], "place": ["text"], "where": [{"maybe": ["number"]}]}},
    "bins": {"*": ["whole"]},
    "maps": [{"name": "text", "layer": "whole", "queries": "text", "keys": "text", "heads": "whole", "edges": {"maybe": {"queries": ["whole"], "keys": ["whole"]}}}],
    "steps": {"maybe": [{"scale": "number", "off": ["whole"]}]},
    "moments": {"maybe": {"scenes": ["whole"], "answers": ["text"], "probabilities": [["number"]]}},
    "source": {"one": ["whole", "kept", "overview"]},
    "flows": {"*": ["text", "text"]},
    "planes": ["text"],
    "picture": {"maybe": {"width": "whole", "height": "whole"}},
    "sound": {"maybe": {"seconds": "number", "rate": "whole", "hop_seconds": "number", "ticks": [["number", "number"]]}},
    "words": {"*": [["text", {"maybe": "whole"}]]},
    "answers": [["text", "number"]],
    "answers_of": "whole",
    "about": {"title": "text", "made": "text", "notices": ["text"], "banners": ["text"]},
    "start": "@view",
    "view": {"maybe": "@view"},
    "serial": "whole",
    "texts": {"*": "text"},
    "language": "text"
  },
  "part": {
    "run": "text",
    "serial": "whole",
    "source": {"one": ["whole", "kept", "overview"]},
    "sections": {"*": {"offset": "whole", "shape": ["whole"], "decade": {"maybe": "whole"}}}
  },
  "view": {
    "tokens": ["whole"],
    "versus": ["whole"],
    "direction": {"one": ["from", "to"]},
    "plane": "text",
    "style": {"one": ["spotlight", "heat"]},
    "scale": {"one": ["view", "map"]}
  }
};
