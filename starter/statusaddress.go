package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// lookup answers the addresses of a host, as a net.Resolver does.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// everywhere is each name as the addresses that are to be asked: the name of a headless Service has one for each pod, and only one of
// those plans. A name of one address stays as it is, and so does one of none, whose program then does not answer. Where a host has
// addresses of both kinds only those of IPv4 count: one program may listen at both, and must not be counted twice.
func everywhere(ctx context.Context, ask lookup, names []string) (all []string) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	for _, name := range names {
		found := []string{name}
		if host, port, err := net.SplitHostPort(name); err == nil {
			if addresses := oneKind(ctx, ask, host); len(addresses) > 1 {
				found = nil
				for _, a := range addresses {
					found = append(found, net.JoinHostPort(a.String(), port))
				}
			}
		}
		for _, addr := range found {
			if !slices.Contains(all, addr) {
				all = append(all, addr)
			}
		}
	}
	return all
}

// oneKind are the host's addresses of IPv4, or those of IPv6 if it has no other.
func oneKind(ctx context.Context, ask lookup, host string) []netip.Addr {
	found, err := ask(ctx, "ip", host)
	if err != nil {
		return nil
	}
	var old, recent []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			old = append(old, a)
		} else {
			recent = append(recent, a)
		}
	}
	if len(old) > 0 {
		return old
	}
	return recent
}
