"""English words that `trio` does not know, to be spoken: things of other kinds, words of other kinds, and words that
sound like known ones."""

from __future__ import annotations

FIT_WORDS = tuple(
    """
Friday January Monday October airport algebra alligator almond alphabet always amber anatomy angry answer badger
bamboo bark barrel battery beetle belt bench bet bin biology birthday blanket blender blizzard blouse bog bone boot
bracelet bridge briefcase buckle buffalo bumper butter button cabbage canyon carpet cart celery century chameleon
chapel chapter chin chop climbing clover coat cobra coffee comma cone copper cotton cradle crate cricket crow crying
cucumber cupboard curtain daisy dancing dark democracy desert diamond dig digging dinosaur dock doctor donkey drawer
drink drop earring economy eel election emerald engine evening everything factory falcon float fog forest free
freezer garden gearbox glove golden goodbye grammar granite grass gravity had ham happy harbour hate hawk hello
heron hippo history hog holiday hospital hot hundred hungry hut hyena icicle iron island ivory jacket jellyfish jog
journey jug jumping kettle king kiss kitchen knee lake laughing leather leopard lettuce library lighthouse lightning
loan log louse magnet mail mammoth maple marble mat maybe midnight million minister minute mirror miss mitten moan
money moose morning mosquito moss moth mountain museum music nail necklace needle never noodle nothing omelette
orchid ostrich oven oyster painting palace panther paper paragraph park parliament pea pearl pelican pepperoni
picture pigeon pillow pin pine pink pirate piston plate please poem police potato president princess promise puddle
pump purple purse python question radiator raisin rat raven reading rhinoceros ribbon riddle rink river rock ruby
running sail sailor salad salamander salmon sandal sat saucer scarf scorpion sea second secret sentence seven sheep
sheet shelf ship shop shrimp silver singing sink skirt sleepy slipper soldier somewhere sorry spaghetti sparrow
spinach spring squirrel stadium starfish sting stone stool stork story street string sugar suitcase summer sunflower
sweater swimming table tail tarantula tea teacher temple thanks theatre think thread three throat thunder tin toad
toaster tomorrow tone tornado tower tray trousers trout tulip tuna tunnel turkey twig valley valve velocity velvet
violet wallet walnut water wig willow window windscreen wing winter wizard worm writing yellow yes yesterday yoghurt
zebra zipper
""".split()
)
"""What the out-of-distribution detector is fitted to."""
MEASURED_WORDS = tuple(
    """
August Wednesday accordion age airplay although antelope apricot asparagus attic avalanche bacon bakery balcony
barber beach because believe bit blueberry brother bug cap caramel carbon carpenter cauliflower ceiling cellar chain
cheese cheetah chimney chocolate cinema clarinet coast collar comet committee compote corridor cousin coyote crane
dentist elevator engineer escalator fin flower forget galaxy garage glacier hippopotamus hit hole horizon kit
labyrinth lane lantern lawyer leech lie linen lollipop meadow mole mug mustard neighbour orchestra oxygen paragon
perhaps pharmacy pie pit planet plumber pocket pole pour power pudding pyramid quickly raccoon raspberry reach
remember roar roast roll rug sandpaper satin sausage seal shower sister skeleton sky sleeve slowly soar soul soup
speech staircase steak symphony teach teenager telescope thin thirty thousand thunderbolt toast tug twelve uncle
understand vinegar walrus waterfall whisper wool xylophone
""".split()
)
"""What it is measured on; none of `FIT_WORDS`."""
