package memory

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// records is the database: one state, one mutex.
type records struct {
	now func() time.Time

	mu sync.Mutex

	users      map[domain.ID]domain.User
	userByName map[string]domain.ID
	userOrder  order
	tiers      map[string]domain.Tier

	images     map[domain.ID]image
	ready      order            // images that are ready
	readyOf    index[domain.ID] // the same by owner
	unfinished order            // images that are pending or being deleted
	usage      map[domain.ID]domain.Usage
	keys       map[keyRef]keyRecord
	keyAges    []keyAge // oldest first

	links       map[domain.ID]domain.Link
	linkByHash  map[domain.SecretHash]domain.ID
	linkOrder   order
	linksOf     index[domain.ID]    // by owner
	linksOfIn   index[[2]domain.ID] // by owner and image
	audit       map[domain.ID]domain.AuditEntry
	auditOrder  order
	sessions    map[domain.SecretHash]domain.Session
	sessionsOf  map[domain.ID]map[domain.SecretHash]bool // by user
	tokens      map[domain.ID]domain.Token
	tokenByHash map[domain.SecretHash]domain.ID
	tokensOf    index[domain.ID] // by user

	history   string      // random: what tells this database's cursors from another's
	feed      []feedEntry // the entries of versions forgotten+1 to version
	version   int64
	forgotten int64
	mark      time.Time

	viewBatches map[domain.ID]time.Time // when each was added

	leases map[string]lease

	installation ports.InstallationRecord
}

type lease struct {
	holder string
	until  time.Time
}

// NewRecords returns an empty database in memory.
//
// Accounts.Change holds everything else back while its function runs, which
// therefore must use nothing but its transaction.
func NewRecords(o Options) ports.Records {
	r := &records{
		now:         o.clock(),
		history:     rand.Text(),
		viewBatches: map[domain.ID]time.Time{},
		users:       map[domain.ID]domain.User{},
		userByName:  map[string]domain.ID{},
		tiers:       map[string]domain.Tier{},
		images:      map[domain.ID]image{},
		readyOf:     index[domain.ID]{},
		usage:       map[domain.ID]domain.Usage{},
		keys:        map[keyRef]keyRecord{},
		links:       map[domain.ID]domain.Link{},
		linkByHash:  map[domain.SecretHash]domain.ID{},
		linksOf:     index[domain.ID]{},
		linksOfIn:   index[[2]domain.ID]{},
		audit:       map[domain.ID]domain.AuditEntry{},
		sessions:    map[domain.SecretHash]domain.Session{},
		sessionsOf:  map[domain.ID]map[domain.SecretHash]bool{},
		tokens:      map[domain.ID]domain.Token{},
		tokenByHash: map[domain.SecretHash]domain.ID{},
		tokensOf:    index[domain.ID]{},
		leases:      map[string]lease{},
	}
	return ports.Records{
		Accounts:     accounts{accountsReader{r: r}},
		Images:       images{r},
		Links:        links{r},
		Audit:        audit{r},
		Changes:      changes{r},
		Leases:       leases{r},
		Installation: installation{r},
	}
}
