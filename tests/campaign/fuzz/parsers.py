"""All parsers, in the order of the table."""

from campaign.fuzz import bodies, histories, lists, networks, pictures, recipes, sealed, vectors

PARSERS = (
    *pictures.PARSERS,
    *vectors.PARSERS,
    *networks.PARSERS,
    *lists.PARSERS,
    *recipes.PARSERS,
    *sealed.PARSERS,
    *histories.PARSERS,
    *bodies.PARSERS,
)
