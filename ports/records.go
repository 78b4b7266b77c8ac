package ports

// Records is what one database keeps, a noun a field. Writes of several nouns meet in
// common transactions, so that all come from one adapter. All are required.
type Records struct {
	Accounts Accounts
	Images   Images
	Links    Links
	Audit    Audit
	Changes  Changes
	Leases   Leases
	// Installation is no noun of the service: it says which installation these records
	// are part of. It is among them, and not a port of its own, so that a copy of the
	// database carries the same id; none of the six could hold it without meaning two things.
	Installation Installation
}
