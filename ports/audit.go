package ports

import (
	"context"

	"github.com/imagify-api/imagify/domain"
)

// Audit reads the audit log, which Accounts, Images and Links write in the transactions
// of the changes they make.
type Audit interface {
	// List returns entries, newest first, within the range; a non-empty actor
	// leaves only those of that user name.
	List(ctx context.Context, actor string, r TimeRange, p Page) ([]domain.AuditEntry, error)
}
