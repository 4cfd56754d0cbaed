package fault

// Build is other programs of ours, and other settings.
type Build struct{}

func deploys() []Fault { return nil }
