//! The pictures that the executable carries. Their source and licence are in `PICTURES.md`.

use sha2::{Digest, Sha256};

/// File extension of every picture, for `/media/{hash}.{ext}`.
pub const EXTENSION: &str = "webp";

/// Media type of every picture.
pub const MEDIA_TYPE: &str = "image/webp";

/// A picture of 256 × 256 pixels on a transparent ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// File name without its extension.
    pub name: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

impl Picture {
    /// SHA-256 of the bytes, 64 hexadecimal digits: its address under `/media`.
    #[must_use]
    pub fn hash(&self) -> String {
        use std::fmt::Write as _;
        Sha256::digest(self.bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// What it shows, for people who do not see it: `red apple`.
    #[must_use]
    pub fn alt(&self) -> String {
        self.name.replace('-', " ")
    }
}

/// The picture of a name.
#[must_use]
pub fn picture(name: &str) -> Option<&'static Picture> {
    PICTURES.binary_search_by(|picture| picture.name.cmp(name)).ok().map(|at| &PICTURES[at])
}

macro_rules! pictures {
    ($($name:literal),* $(,)?) => {
        &[$(Picture { name: $name, bytes: include_bytes!(concat!("../pictures/", $name, ".webp")) }),*]
    };
}

/// All pictures, sorted by name; a test compares them with the folder.
pub const PICTURES: &[Picture] = pictures![
    "adhesive-bandage",
    "amphora",
    "artist-palette",
    "avocado",
    "bagel",
    "baguette",
    "balloon",
    "banana",
    "basket",
    "battery",
    "beans",
    "beer-mug",
    "bell-pepper",
    "bento-box",
    "beverage-box",
    "birthday-cake",
    "blueberries",
    "bottle-with-popping-cork",
    "bouquet",
    "bowl-with-spoon",
    "bread",
    "broccoli",
    "broom",
    "bubble-tea",
    "bucket",
    "burrito",
    "butter",
    "cactus",
    "candy",
    "canned-food",
    "carrot",
    "cheese",
    "chestnut",
    "chocolate-bar",
    "coconut",
    "cooked-rice",
    "cookie",
    "cow",
    "crayon",
    "croissant",
    "cup-with-straw",
    "cupcake",
    "curry-rice",
    "dango",
    "doughnut",
    "droplet",
    "duck",
    "dumpling",
    "ear-of-corn",
    "egg",
    "envelope",
    "ewe",
    "falafel",
    "flashlight",
    "flatbread",
    "fondue",
    "fortune-cookie",
    "fountain-pen",
    "four-leaf-clover",
    "french-fries",
    "garlic",
    "ginger",
    "glass-of-milk",
    "gloves",
    "goat",
    "grapes",
    "green-salad",
    "green-tea",
    "hamburger",
    "herb",
    "hibiscus",
    "honey-pot",
    "hot-beverage",
    "hot-dog",
    "hot-pepper",
    "hyacinth",
    "ice",
    "ice-cream",
    "jar",
    "kiwi-fruit",
    "lemon",
    "light-bulb",
    "linked-paperclips",
    "lollipop",
    "lotion-bottle",
    "lotus",
    "mango",
    "maple-leaf",
    "mate",
    "moon-cake",
    "nest-with-eggs",
    "notebook",
    "notebook-with-decorative-cover",
    "olive",
    "onion",
    "pancakes",
    "peanuts",
    "pen",
    "pencil",
    "pie",
    "pineapple",
    "pizza",
    "plunger",
    "popcorn",
    "potato",
    "potted-plant",
    "pretzel",
    "pushpin",
    "red-apple",
    "ribbon",
    "rice-ball",
    "rice-cracker",
    "roll-of-paper",
    "rose",
    "salt",
    "sandwich",
    "scissors",
    "sheaf-of-rice",
    "shortcake",
    "soap",
    "spaghetti",
    "spiral-notepad",
    "sponge",
    "steaming-bowl",
    "straight-ruler",
    "strawberry",
    "stuffed-flatbread",
    "sunflower",
    "sushi",
    "taco",
    "tamale",
    "tangerine",
    "teapot",
    "teddy-bear",
    "thread",
    "tomato",
    "toothbrush",
    "triangular-ruler",
    "tropical-drink",
    "tulip",
    "umbrella",
    "waffle",
    "water-buffalo",
    "wine-glass",
    "wrapped-gift",
];
