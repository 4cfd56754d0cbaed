package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// ownerLabel names the lock file of the process that a container belongs to. Whoever can take the lock knows that the process is gone.
const ownerLabel = "com.github.ai-backlog.ingest.owner"

// own takes a lock that ends with this process, however it ends.
func (d *Docker) own() error {
	f, err := os.CreateTemp("", "ai-backlog-containers-*.lock")
	if err != nil {
		return fmt.Errorf("own containers: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("own containers: %w", err), f.Close())
	}
	d.owner = f
	return nil
}

// Sweep removes the containers of processes that are gone.
func (d *Docker) Sweep(ctx context.Context) error {
	all, err := d.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", ownerLabel)})
	if err != nil {
		return fmt.Errorf("list containers that were left behind: %w", err)
	}
	orphans := map[string][]string{}
	for _, c := range all.Items {
		owner := c.Labels[ownerLabel]
		orphans[owner] = append(orphans[owner], c.ID)
	}
	for owner, ids := range orphans {
		if err := d.bury(ctx, owner, ids); err != nil {
			return err
		}
	}
	return nil
}

// bury removes the containers if their owner is gone.
func (d *Docker) bury(ctx context.Context, owner string, ids []string) error {
	f, err := os.Open(owner) //nolint:gosec // the label is ours
	if err == nil {
		defer func() { _ = f.Close() }()
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil // it lives
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("containers that were left behind: %w", err)
	}
	for _, id := range ids {
		if err := d.remove(ctx, id); err != nil {
			return fmt.Errorf("remove a container that was left behind: %w", err)
		}
	}
	_ = os.Remove(owner) // already away, if another process was faster
	return nil
}

// remove ends a container at once, frozen or not, and forgets it.
func (d *Docker) remove(ctx context.Context, id string) error {
	_, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return err
}

// cleanWithin bounds what is done at the end of a process.
const cleanWithin = time.Minute

// Clean removes every container of this process, also after everything else was cancelled; none is started after it.
//
//nolint:contextcheck // see above
func Clean() error {
	connecting.Lock()
	defer connecting.Unlock()
	if connected == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanWithin)
	defer cancel()
	d := connected
	connected = nil
	name := d.owner.Name()
	if err := d.owner.Close(); err != nil {
		return err
	}
	return errors.Join(d.Sweep(ctx), os.Remove(name))
}
