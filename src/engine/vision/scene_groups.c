#include "engine/vision/scene_groups.h"

const char *const mr_setting_name[MR_SETTINGS] = {
    [MR_SETTING_NONE] = "unknown",
    [MR_SETTING_STREET] = "urban_street",
    [MR_SETTING_HISTORIC] = "historic_architecture",
    [MR_SETTING_STRUCTURE] = "bridge_or_tower",
    [MR_SETTING_COAST] = "coast",
    [MR_SETTING_LAKE] = "lakeside",
    [MR_SETTING_MOUNTAIN] = "mountains",
    [MR_SETTING_COUNTRYSIDE] = "countryside",
    [MR_SETTING_WILD] = "wild_nature",
    [MR_SETTING_GARDEN] = "garden",
    [MR_SETTING_SNOW] = "snow_field",
    [MR_SETTING_HARBOUR] = "harbour",
    [MR_SETTING_AIRFIELD] = "airfield",
    [MR_SETTING_RAILWAY] = "railway",
    [MR_SETTING_SPORTS] = "sports_ground",
    [MR_SETTING_DINING] = "indoor_dining",
    [MR_SETTING_KITCHEN] = "kitchen",
    [MR_SETTING_BATHROOM] = "bathroom",
    [MR_SETTING_BEDROOM] = "bedroom",
    [MR_SETTING_LIVING] = "living_room",
    [MR_SETTING_OFFICE] = "office",
    [MR_SETTING_SHOP] = "shop",
    [MR_SETTING_LIBRARY] = "library",
    [MR_SETTING_STAGE] = "stage",
};

bool mr_setting_outdoors(enum mr_setting s) {
    return s >= MR_SETTING_STREET && s < MR_SETTING_SPORTS; /* sports have halls too */
}

const struct mr_setting_sign mr_setting_class[] = {
    {288, MR_SETTING_WILD, 75},        /* leopard */
    {291, MR_SETTING_WILD, 75},        /* lion */
    {293, MR_SETTING_WILD, 75},        /* cheetah */
    {340, MR_SETTING_WILD, 75},        /* zebra */
    {343, MR_SETTING_WILD, 75},        /* warthog */
    {344, MR_SETTING_WILD, 75},        /* hippopotamus */
    {347, MR_SETTING_WILD, 75},        /* bison */
    {352, MR_SETTING_WILD, 75},        /* impala */
    {353, MR_SETTING_WILD, 75},        /* gazelle */
    {385, MR_SETTING_WILD, 75},        /* indian_elephant */
    {386, MR_SETTING_WILD, 75},        /* african_elephant */
    {403, MR_SETTING_HARBOUR, 70},     /* aircraft_carrier */
    {404, MR_SETTING_AIRFIELD, 85},    /* airliner */
    {405, MR_SETTING_AIRFIELD, 40},    /* airship */
    {406, MR_SETTING_HISTORIC, 80},    /* altar */
    {407, MR_SETTING_STREET, 80},      /* ambulance */
    {410, MR_SETTING_COUNTRYSIDE, 65}, /* apiary */
    {415, MR_SETTING_SHOP, 90},        /* bakery */
    {416, MR_SETTING_SPORTS, 75},      /* balance_beam */
    {423, MR_SETTING_SHOP, 50},        /* barber_chair */
    {424, MR_SETTING_SHOP, 90},        /* barbershop */
    {425, MR_SETTING_COUNTRYSIDE, 90}, /* barn */
    {428, MR_SETTING_GARDEN, 40},      /* barrow */
    {429, MR_SETTING_SPORTS, 50},      /* baseball */
    {430, MR_SETTING_SPORTS, 50},      /* basketball */
    {431, MR_SETTING_BEDROOM, 85},     /* bassinet */
    {434, MR_SETTING_BATHROOM, 50},    /* bath_towel */
    {435, MR_SETTING_BATHROOM, 85},    /* bathtub */
    {436, MR_SETTING_STREET, 50},      /* beach_wagon */
    {437, MR_SETTING_STRUCTURE, 50},   /* beacon */
    {440, MR_SETTING_DINING, 40},      /* beer_bottle */
    {441, MR_SETTING_DINING, 70},      /* beer_glass */
    {442, MR_SETTING_HISTORIC, 95},    /* bell_cote */
    {444, MR_SETTING_STREET, 50},      /* bicycle-built-for-two */
    {445, MR_SETTING_COAST, 50},       /* bikini */
    {448, MR_SETTING_GARDEN, 40},      /* birdhouse */
    {449, MR_SETTING_LAKE, 70},        /* boathouse */
    {450, MR_SETTING_SNOW, 85},        /* bobsled */
    {453, MR_SETTING_LIVING, 50},      /* bookcase */
    {454, MR_SETTING_SHOP, 90},        /* bookshop */
    {460, MR_SETTING_COAST, 95},       /* breakwater */
    {466, MR_SETTING_RAILWAY, 85},     /* bullet_train */
    {467, MR_SETTING_SHOP, 90},        /* butcher_shop */
    {468, MR_SETTING_STREET, 80},      /* cab */
    {469, MR_SETTING_KITCHEN, 60},     /* caldron */
    {472, MR_SETTING_LAKE, 70},        /* canoe */
    {479, MR_SETTING_STREET, 35},      /* car_wheel */
    {483, MR_SETTING_HISTORIC, 95},    /* castle */
    {484, MR_SETTING_HARBOUR, 70},     /* catamaran */
    {489, MR_SETTING_STRUCTURE, 50},   /* chainlink_fence */
    {493, MR_SETTING_LIVING, 50},      /* chiffonier */
    {495, MR_SETTING_LIVING, 50},      /* china_cabinet */
    {497, MR_SETTING_HISTORIC, 95},    /* church */
    {498, MR_SETTING_STAGE, 85},       /* cinema */
    {500, MR_SETTING_HISTORIC, 95},    /* cliff_dwelling */
    {504, MR_SETTING_DINING, 40},      /* coffee_mug */
    {505, MR_SETTING_DINING, 40},      /* coffeepot */
    {508, MR_SETTING_OFFICE, 55},      /* computer_keyboard */
    {509, MR_SETTING_SHOP, 90},        /* confectionery */
    {510, MR_SETTING_HARBOUR, 90},     /* container_ship */
    {511, MR_SETTING_STREET, 50},      /* convertible */
    {516, MR_SETTING_BEDROOM, 85},     /* cradle */
    {520, MR_SETTING_BEDROOM, 85},     /* crib */
    {521, MR_SETTING_KITCHEN, 60},     /* crock_pot */
    {522, MR_SETTING_SPORTS, 50},      /* croquet_ball */
    {525, MR_SETTING_STRUCTURE, 85},   /* dam */
    {526, MR_SETTING_OFFICE, 75},      /* desk */
    {527, MR_SETTING_OFFICE, 75},      /* desktop_computer */
    {532, MR_SETTING_DINING, 70},      /* dining_table */
    {534, MR_SETTING_KITCHEN, 85},     /* dishwasher */
    {536, MR_SETTING_HARBOUR, 90},     /* dock */
    {537, MR_SETTING_SNOW, 85},        /* dogsled */
    {538, MR_SETTING_HISTORIC, 80},    /* dome */
    {540, MR_SETTING_STRUCTURE, 85},   /* drilling_platform */
    {541, MR_SETTING_STAGE, 45},       /* drum */
    {544, MR_SETTING_KITCHEN, 60},     /* dutch_oven */
    {546, MR_SETTING_STAGE, 45},       /* electric_guitar */
    {547, MR_SETTING_RAILWAY, 85},     /* electric_locomotive */
    {548, MR_SETTING_LIVING, 80},      /* entertainment_center */
    {550, MR_SETTING_KITCHEN, 60},     /* espresso_maker */
    {553, MR_SETTING_OFFICE, 55},      /* file */
    {554, MR_SETTING_HARBOUR, 90},     /* fireboat */
    {555, MR_SETTING_STREET, 80},      /* fire_engine */
    {556, MR_SETTING_LIVING, 50},      /* fire_screen */
    {559, MR_SETTING_LIVING, 50},      /* folding_chair */
    {560, MR_SETTING_SPORTS, 75},      /* football_helmet */
    {562, MR_SETTING_HISTORIC, 80},    /* fountain */
    {564, MR_SETTING_BEDROOM, 85},     /* four-poster */
    {565, MR_SETTING_RAILWAY, 85},     /* freight_car */
    {567, MR_SETTING_KITCHEN, 60},     /* frying_pan */
    {569, MR_SETTING_STREET, 80},      /* garbage_truck */
    {572, MR_SETTING_DINING, 40},      /* goblet */
    {574, MR_SETTING_SPORTS, 50},      /* golf_ball */
    {575, MR_SETTING_SPORTS, 50},      /* golfcart */
    {576, MR_SETTING_HARBOUR, 70},     /* gondola */
    {580, MR_SETTING_GARDEN, 75},      /* greenhouse */
    {582, MR_SETTING_SHOP, 90},        /* grocery_store */
    {590, MR_SETTING_OFFICE, 55},      /* hand-held_computer */
    {595, MR_SETTING_COUNTRYSIDE, 90}, /* harvester */
    {598, MR_SETTING_LIVING, 80},      /* home_theater */
    {602, MR_SETTING_SPORTS, 75},      /* horizontal_bar */
    {603, MR_SETTING_COUNTRYSIDE, 65}, /* horse_cart */
    {609, MR_SETTING_STREET, 35},      /* jeep */
    {612, MR_SETTING_STREET, 80},      /* jinrikisha */
    {618, MR_SETTING_KITCHEN, 60},     /* ladle */
    {619, MR_SETTING_LIVING, 50},      /* lampshade */
    {620, MR_SETTING_OFFICE, 55},      /* laptop */
    {621, MR_SETTING_GARDEN, 75},      /* lawn_mower */
    {624, MR_SETTING_LIBRARY, 90},     /* library */
    {625, MR_SETTING_HARBOUR, 70},     /* lifeboat */
    {627, MR_SETTING_STREET, 80},      /* limousine */
    {628, MR_SETTING_HARBOUR, 90},     /* liner */
    {637, MR_SETTING_STREET, 50},      /* mailbox */
    {640, MR_SETTING_STREET, 80},      /* manhole_cover */
    {647, MR_SETTING_KITCHEN, 60},     /* measuring_cup */
    {648, MR_SETTING_BATHROOM, 85},    /* medicine_chest */
    {649, MR_SETTING_HISTORIC, 95},    /* megalith */
    {650, MR_SETTING_STAGE, 45},       /* microphone */
    {651, MR_SETTING_KITCHEN, 85},     /* microwave */
    {654, MR_SETTING_STREET, 80},      /* minibus */
    {656, MR_SETTING_STREET, 50},      /* minivan */
    {659, MR_SETTING_KITCHEN, 60},     /* mixing_bowl */
    {661, MR_SETTING_STREET, 35},      /* model_t */
    {663, MR_SETTING_HISTORIC, 95},    /* monastery */
    {664, MR_SETTING_OFFICE, 55},      /* monitor */
    {665, MR_SETTING_STREET, 20},      /* moped */
    {668, MR_SETTING_HISTORIC, 95},    /* mosque */
    {669, MR_SETTING_BEDROOM, 55},     /* mosquito_net */
    {670, MR_SETTING_STREET, 20},      /* motor_scooter */
    {672, MR_SETTING_MOUNTAIN, 60},    /* mountain_tent */
    {673, MR_SETTING_OFFICE, 55},      /* mouse */
    {675, MR_SETTING_STREET, 80},      /* moving_van */
    {681, MR_SETTING_OFFICE, 55},      /* notebook */
    {682, MR_SETTING_HISTORIC, 80},    /* obelisk */
    {690, MR_SETTING_COUNTRYSIDE, 65}, /* oxcart */
    {693, MR_SETTING_LAKE, 30},        /* paddle */
    {694, MR_SETTING_HARBOUR, 70},     /* paddlewheel */
    {698, MR_SETTING_HISTORIC, 95},    /* palace */
    {702, MR_SETTING_SPORTS, 75},      /* parallel_bars */
    {703, MR_SETTING_STREET, 35},      /* park_bench */
    {704, MR_SETTING_STREET, 80},      /* parking_meter */
    {705, MR_SETTING_RAILWAY, 85},     /* passenger_car */
    {706, MR_SETTING_GARDEN, 75},      /* patio */
    {708, MR_SETTING_HISTORIC, 50},    /* pedestal */
    {713, MR_SETTING_OFFICE, 75},      /* photocopier */
    {716, MR_SETTING_GARDEN, 75},      /* picket_fence */
    {717, MR_SETTING_STREET, 50},      /* pickup */
    {718, MR_SETTING_HARBOUR, 90},     /* pier */
    {721, MR_SETTING_BEDROOM, 55},     /* pillow */
    {727, MR_SETTING_STRUCTURE, 50},   /* planetarium */
    {729, MR_SETTING_KITCHEN, 85},     /* plate_rack */
    {730, MR_SETTING_COUNTRYSIDE, 65}, /* plow */
    {731, MR_SETTING_BATHROOM, 50},    /* plunger */
    {734, MR_SETTING_STREET, 80},      /* police_van */
    {738, MR_SETTING_GARDEN, 40},      /* pot */
    {742, MR_SETTING_OFFICE, 75},      /* printer */
    {743, MR_SETTING_STRUCTURE, 50},   /* prison */
    {746, MR_SETTING_SPORTS, 50},      /* puck */
    {750, MR_SETTING_BEDROOM, 55},     /* quilt */
    {751, MR_SETTING_STREET, 50},      /* racer */
    {752, MR_SETTING_SPORTS, 50},      /* racket */
    {755, MR_SETTING_STRUCTURE, 85},   /* radio_telescope */
    {757, MR_SETTING_STREET, 50},      /* recreational_vehicle */
    {760, MR_SETTING_KITCHEN, 85},     /* refrigerator */
    {762, MR_SETTING_DINING, 90},      /* restaurant */
    {765, MR_SETTING_LIVING, 50},      /* rocking_chair */
    {766, MR_SETTING_KITCHEN, 85},     /* rotisserie */
    {768, MR_SETTING_SPORTS, 50},      /* rugby_ball */
    {773, MR_SETTING_DINING, 40},      /* saltshaker */
    {775, MR_SETTING_COAST, 50},       /* sarong */
    {779, MR_SETTING_STREET, 80},      /* school_bus */
    {780, MR_SETTING_HARBOUR, 70},     /* schooner */
    {781, MR_SETTING_SPORTS, 75},      /* scoreboard */
    {782, MR_SETTING_OFFICE, 55},      /* screen */
    {788, MR_SETTING_SHOP, 90},        /* shoe_shop */
    {790, MR_SETTING_SHOP, 50},        /* shopping_basket */
    {791, MR_SETTING_SHOP, 50},        /* shopping_cart */
    {794, MR_SETTING_BATHROOM, 85},    /* shower_curtain */
    {795, MR_SETTING_SNOW, 85},        /* ski */
    {801, MR_SETTING_COAST, 50},       /* snorkel */
    {802, MR_SETTING_SNOW, 85},        /* snowmobile */
    {803, MR_SETTING_SNOW, 85},        /* snowplow */
    {804, MR_SETTING_BATHROOM, 50},    /* soap_dispenser */
    {805, MR_SETTING_SPORTS, 50},      /* soccer_ball */
    {809, MR_SETTING_DINING, 70},      /* soup_bowl */
    {813, MR_SETTING_KITCHEN, 60},     /* spatula */
    {814, MR_SETTING_HARBOUR, 70},     /* speedboat */
    {817, MR_SETTING_STREET, 50},      /* sports_car */
    {818, MR_SETTING_STAGE, 45},       /* spotlight */
    {819, MR_SETTING_STAGE, 85},       /* stage */
    {820, MR_SETTING_RAILWAY, 85},     /* steam_locomotive */
    {821, MR_SETTING_STRUCTURE, 85},   /* steel_arch_bridge */
    {825, MR_SETTING_COUNTRYSIDE, 65}, /* stone_wall */
    {827, MR_SETTING_KITCHEN, 85},     /* stove */
    {829, MR_SETTING_STREET, 80},      /* streetcar */
    {831, MR_SETTING_LIVING, 80},      /* studio_couch */
    {832, MR_SETTING_HISTORIC, 95},    /* stupa */
    {833, MR_SETTING_HARBOUR, 70},     /* submarine */
    {835, MR_SETTING_GARDEN, 40},      /* sundial */
    {839, MR_SETTING_STRUCTURE, 85},   /* suspension_bridge */
    {842, MR_SETTING_COAST, 50},       /* swimming_trunks */
    {846, MR_SETTING_LIVING, 50},      /* table_lamp */
    {849, MR_SETTING_DINING, 40},      /* teapot */
    {851, MR_SETTING_LIVING, 50},      /* television */
    {852, MR_SETTING_SPORTS, 50},      /* tennis_ball */
    {853, MR_SETTING_COUNTRYSIDE, 65}, /* thatch */
    {854, MR_SETTING_STAGE, 85},       /* theater_curtain */
    {856, MR_SETTING_COUNTRYSIDE, 90}, /* thresher */
    {858, MR_SETTING_HISTORIC, 50},    /* tile_roof */
    {859, MR_SETTING_KITCHEN, 60},     /* toaster */
    {860, MR_SETTING_SHOP, 90},        /* tobacco_shop */
    {861, MR_SETTING_BATHROOM, 85},    /* toilet_seat */
    {863, MR_SETTING_HISTORIC, 50},    /* totem_pole */
    {864, MR_SETTING_STREET, 80},      /* tow_truck */
    {865, MR_SETTING_SHOP, 90},        /* toyshop */
    {866, MR_SETTING_COUNTRYSIDE, 65}, /* tractor */
    {867, MR_SETTING_STREET, 80},      /* trailer_truck */
    {871, MR_SETTING_HARBOUR, 70},     /* trimaran */
    {873, MR_SETTING_HISTORIC, 95},    /* triumphal_arch */
    {874, MR_SETTING_STREET, 80},      /* trolleybus */
    {876, MR_SETTING_BATHROOM, 85},    /* tub */
    {878, MR_SETTING_OFFICE, 55},      /* typewriter_keyboard */
    {884, MR_SETTING_HISTORIC, 80},    /* vault */
    {886, MR_SETTING_SHOP, 50},        /* vending_machine */
    {888, MR_SETTING_STRUCTURE, 85},   /* viaduct */
    {890, MR_SETTING_SPORTS, 50},      /* volleyball */
    {891, MR_SETTING_KITCHEN, 60},     /* waffle_iron */
    {894, MR_SETTING_LIVING, 50},      /* wardrobe */
    {895, MR_SETTING_AIRFIELD, 85},    /* warplane */
    {896, MR_SETTING_BATHROOM, 85},    /* washbasin */
    {900, MR_SETTING_STRUCTURE, 85},   /* water_tower */
    {905, MR_SETTING_LIVING, 50},      /* window_shade */
    {907, MR_SETTING_DINING, 40},      /* wine_bottle */
    {908, MR_SETTING_AIRFIELD, 40},    /* wing */
    {909, MR_SETTING_KITCHEN, 60},     /* wok */
    {910, MR_SETTING_KITCHEN, 60},     /* wooden_spoon */
    {912, MR_SETTING_COUNTRYSIDE, 90}, /* worm_fence */
    {914, MR_SETTING_HARBOUR, 70},     /* yawl */
    {915, MR_SETTING_COUNTRYSIDE, 65}, /* yurt */
    {919, MR_SETTING_STREET, 80},      /* street_sign */
    {920, MR_SETTING_STREET, 80},      /* traffic_light */
    {922, MR_SETTING_DINING, 90},      /* menu */
    {923, MR_SETTING_DINING, 90},      /* plate */
    {924, MR_SETTING_DINING, 70},      /* guacamole */
    {925, MR_SETTING_DINING, 70},      /* consomme */
    {926, MR_SETTING_DINING, 70},      /* hot_pot */
    {927, MR_SETTING_DINING, 70},      /* trifle */
    {928, MR_SETTING_DINING, 70},      /* ice_cream */
    {930, MR_SETTING_DINING, 70},      /* french_loaf */
    {931, MR_SETTING_DINING, 70},      /* bagel */
    {932, MR_SETTING_DINING, 40},      /* pretzel */
    {933, MR_SETTING_DINING, 70},      /* cheeseburger */
    {934, MR_SETTING_DINING, 70},      /* hotdog */
    {935, MR_SETTING_DINING, 70},      /* mashed_potato */
    {958, MR_SETTING_COUNTRYSIDE, 90}, /* hay */
    {959, MR_SETTING_DINING, 70},      /* carbonara */
    {960, MR_SETTING_DINING, 70},      /* chocolate_sauce */
    {962, MR_SETTING_DINING, 70},      /* meat_loaf */
    {963, MR_SETTING_DINING, 70},      /* pizza */
    {964, MR_SETTING_DINING, 70},      /* potpie */
    {965, MR_SETTING_DINING, 70},      /* burrito */
    {966, MR_SETTING_DINING, 70},      /* red_wine */
    {967, MR_SETTING_DINING, 70},      /* espresso */
    {968, MR_SETTING_DINING, 70},      /* cup */
    {969, MR_SETTING_DINING, 70},      /* eggnog */
    {970, MR_SETTING_MOUNTAIN, 95},    /* alp */
    {972, MR_SETTING_MOUNTAIN, 95},    /* cliff */
    {973, MR_SETTING_COAST, 95},       /* coral_reef */
    {974, MR_SETTING_MOUNTAIN, 60},    /* geyser */
    {975, MR_SETTING_LAKE, 95},        /* lakeside */
    {976, MR_SETTING_COAST, 95},       /* promontory */
    {977, MR_SETTING_COAST, 95},       /* sandbar */
    {978, MR_SETTING_COAST, 95},       /* seashore */
    {979, MR_SETTING_MOUNTAIN, 95},    /* valley */
    {980, MR_SETTING_MOUNTAIN, 95},    /* volcano */
    {981, MR_SETTING_SPORTS, 75},      /* ballplayer */
    {983, MR_SETTING_COAST, 50},       /* scuba_diver */
    {984, MR_SETTING_COUNTRYSIDE, 90}, /* rapeseed */
    {985, MR_SETTING_GARDEN, 75},      /* daisy */
    {986, MR_SETTING_GARDEN, 75},      /* yellow_lady's_slipper */
    {987, MR_SETTING_COUNTRYSIDE, 65}, /* corn */
    {999, MR_SETTING_BATHROOM, 50},    /* toilet_tissue */
};
const size_t mr_setting_n_class = sizeof mr_setting_class / sizeof *mr_setting_class;

const struct mr_setting_sign mr_setting_object[] = {
    {2, MR_SETTING_STREET, 10},       /* bicycle */
    {3, MR_SETTING_STREET, 40},       /* car */
    {4, MR_SETTING_STREET, 10},       /* motorcycle */
    {5, MR_SETTING_AIRFIELD, 55},     /* airplane */
    {6, MR_SETTING_STREET, 60},       /* bus */
    {7, MR_SETTING_RAILWAY, 70},      /* train */
    {8, MR_SETTING_STREET, 40},       /* truck */
    {9, MR_SETTING_HARBOUR, 45},      /* boat */
    {10, MR_SETTING_STREET, 60},      /* traffic_light */
    {11, MR_SETTING_STREET, 60},      /* fire_hydrant */
    {13, MR_SETTING_STREET, 60},      /* stop_sign */
    {14, MR_SETTING_STREET, 60},      /* parking_meter */
    {19, MR_SETTING_COUNTRYSIDE, 35}, /* horse */
    {20, MR_SETTING_COUNTRYSIDE, 55}, /* sheep */
    {21, MR_SETTING_COUNTRYSIDE, 55}, /* cow */
    {22, MR_SETTING_WILD, 75},        /* elephant */
    {23, MR_SETTING_WILD, 75},        /* bear */
    {24, MR_SETTING_WILD, 75},        /* zebra */
    {25, MR_SETTING_WILD, 75},        /* giraffe */
    {34, MR_SETTING_SPORTS, 50},      /* frisbee */
    {35, MR_SETTING_SNOW, 80},        /* skis */
    {36, MR_SETTING_SNOW, 80},        /* snowboard */
    {37, MR_SETTING_SPORTS, 50},      /* sports_ball */
    {39, MR_SETTING_SPORTS, 65},      /* baseball_bat */
    {40, MR_SETTING_SPORTS, 65},      /* baseball_glove */
    {42, MR_SETTING_COAST, 70},       /* surfboard */
    {43, MR_SETTING_SPORTS, 65},      /* tennis_racket */
    {46, MR_SETTING_DINING, 60},      /* wine_glass */
    {47, MR_SETTING_DINING, 45},      /* cup */
    {48, MR_SETTING_DINING, 60},      /* fork */
    {49, MR_SETTING_DINING, 45},      /* knife */
    {50, MR_SETTING_DINING, 45},      /* spoon */
    {51, MR_SETTING_DINING, 45},      /* bowl */
    {54, MR_SETTING_DINING, 45},      /* sandwich */
    {58, MR_SETTING_DINING, 45},      /* hot_dog */
    {59, MR_SETTING_DINING, 60},      /* pizza */
    {60, MR_SETTING_DINING, 45},      /* donut */
    {61, MR_SETTING_DINING, 45},      /* cake */
    {63, MR_SETTING_LIVING, 65},      /* couch */
    {65, MR_SETTING_BEDROOM, 75},     /* bed */
    {67, MR_SETTING_DINING, 60},      /* dining_table */
    {70, MR_SETTING_BATHROOM, 85},    /* toilet */
    {72, MR_SETTING_LIVING, 45},      /* tv */
    {73, MR_SETTING_OFFICE, 55},      /* laptop */
    {74, MR_SETTING_OFFICE, 55},      /* mouse */
    {75, MR_SETTING_LIVING, 45},      /* remote */
    {76, MR_SETTING_OFFICE, 55},      /* keyboard */
    {78, MR_SETTING_KITCHEN, 80},     /* microwave */
    {79, MR_SETTING_KITCHEN, 80},     /* oven */
    {80, MR_SETTING_KITCHEN, 80},     /* toaster */
    {81, MR_SETTING_KITCHEN, 45},     /* sink */
    {82, MR_SETTING_KITCHEN, 80},     /* refrigerator */
    {89, MR_SETTING_BATHROOM, 60},    /* hair_drier */
    {90, MR_SETTING_BATHROOM, 60},    /* toothbrush */
};
const size_t mr_setting_n_object = sizeof mr_setting_object / sizeof *mr_setting_object;
