//! What fleet's clients and fleetd say to each other.
