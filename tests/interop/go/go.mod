module moql/tests/interop/go

go 1.26.4

require (
	github.com/quic-go/quic-go v0.61.0
	github.com/quic-go/webtransport-go v0.12.0
	github.com/qumo-dev/gomoqt v0.17.0
)

require (
	github.com/dunglas/httpsfv v1.1.0 // indirect
	github.com/okdaichi/webtransport-go v0.12.0-okdaichi.2 // indirect
	github.com/quic-go/qpack v0.6.0 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
)

// The module proxy does not serve it; see README.md.
replace github.com/okdaichi/webtransport-go => ./webtransport_absent
