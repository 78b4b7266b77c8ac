package ports

// Records bundles the ports that one database serves. Their writes meet in
// common transactions, so they come from one adapter together.
type Records struct {
	Users       Users
	Tiers       Tiers
	Directory   Directory
	Images      Images
	Uploads     Uploads
	Deletions   Deletions
	Links       Links
	LinkChanges LinkChanges
	Audit       Audit
	Sessions    Sessions
	Tokens      Tokens
	Changes     Changes
	Leases      Leases
	// Installation is in the same database, so that a copy of it carries the same id.
	Installation Installation
}
