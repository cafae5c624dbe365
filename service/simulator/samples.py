"""Names and goods for generated companies; every address is one that cannot exist."""

from service.simulator.records import Json

USD: Json = {"value": "USD", "name": "United States Dollar"}
EUR: Json = {"value": "EUR", "name": "Euro"}
CAD: Json = {"value": "CAD", "name": "Canadian Dollar"}

COMPANIES = (
    {
        "CompanyName": "Harborline Supply Co.",
        "LegalName": "Harborline Supply Company LLC",
        "Email": {"Address": "books@harborline.example.com"},
        "Country": "US",
        "CompanyAddr": {
            "Id": "1",
            "Line1": "1820 Dock Street",
            "City": "Oakland",
            "CountrySubDivisionCode": "CA",
            "PostalCode": "94607",
        },
    },
    {
        "CompanyName": "Juniper & Vale Catering",
        "LegalName": "Juniper and Vale Catering Inc.",
        "Email": {"Address": "office@junipervale.example.org"},
        "Country": "US",
        "CompanyAddr": {
            "Id": "1",
            "Line1": "77 Orchard Lane",
            "City": "Portland",
            "CountrySubDivisionCode": "OR",
            "PostalCode": "97205",
        },
    },
)

BUYERS = (
    "Alder Street Market", "Bayview Auto Parts", "Blue Heron Café", "Brightwater Marine",
    "Cedar & Pine Furniture", "Copperfield Brewing", "Crescent City Tools", "Dunmore Dental Group",
    "Eastgate Hardware", "Evergreen Landscaping", "Fairmont Property Services", "Foxglove Florists",
    "Granite Ridge Builders", "Greenfield Grocers", "Hollis & Daughters", "Ironwood Fabrication",
    "Jade Garden Restaurants", "Kestrel Logistics", "Lakeshore Veterinary", "Larkspur Hotels",
    "Maple Leaf Imports", "Meridian Printing", "Morrow Electrical", "North Fork Outfitters",
    "O'Brien's Bakery", "Olive Branch Deli", "Pacific Crest Cycles", "Pinecrest School District",
    "Quarry Lane Pools", "Redwood Roofing", "Rosetti Fine Foods", "Saltbox Interiors",
    "Sonnenschein Family Store", "Summit Physical Therapy", "Thistle & Thorn", "Tidewater Boats",
    "Union Square Hobbies", "Vermilion Paints", "Wexford Janitorial", "Zephyr Coffee Roasters",
)  # fmt: skip

PROJECTS = ("Warehouse fit-out", "55 Twin Lane", "Spring opening", "Store no. 2")

PEOPLE = (
    ("Amelia", "Okafor"), ("Ben", "Larsen"), ("Carmen", "Ruiz"), ("Dev", "Patel"),
    ("Elena", "Marino"), ("Farid", "Haddad"), ("Grace", "Kim"), ("Henry", "Walsh"),
)  # fmt: skip

GOODS = (
    ("Steel shelving unit", "84.50"), ("Pallet wrap, case", "46.20"), ("Hand truck", "119.00"),
    ("Safety gloves, box", "18.75"), ("Delivery, zone 2", "35.00"), ("LED work light", "64.00"),
    ("Forklift hire, day", "210.00"), ("Loading straps, set", "27.99"), ("Cable ducts", "7.15"),
    ("Packing tape, carton", "31.40"), ("Site survey, hour", "75.00"), ("Floor paint", "41.90"),
    ("Heavy duty casters", "12.35"), ("Rubber matting, metre", "9.80"), ("Bin, set", "55.60"),
    ("Installation, hour", "62.50"),
)  # fmt: skip

CITIES = (
    ("Oakland", "CA", "94601"), ("Portland", "OR", "97201"), ("Reno", "NV", "89501"),
    ("Tacoma", "WA", "98402"), ("Sacramento", "CA", "95814"),
)  # fmt: skip
