// Command vcsim starts govmomi's simulator of vCenter or of a standalone ESXi host, for the tests.
//
// It takes the flags of govmomi's own vcsim that the tests use, so that either of the two can be named in CLOUDVM_VCSIM.
// govmomi's own is a module whose go.mod replaces another one, and `go install MODULE@VERSION` refuses those
// (https://go.dev/ref/mod#go-install): the simulator itself, a package of govmomi, can be had at a pinned version.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	esx := flag.Bool("esx", false, "a standalone ESXi host instead of a vCenter")
	listen := flag.String("l", "127.0.0.1:0", "address to listen on")
	username := flag.String("username", "", "who may log in")
	password := flag.String("password", "", "by which password")
	certificate := flag.String("tlscert", "", "file of the certificate, PEM")
	key := flag.String("tlskey", "", "file of its key, PEM")
	datacenters := flag.Int("dc", 1, "how many datacenters a vCenter has")
	datastores := flag.Int("ds", 1, "how many datastores")
	machines := flag.Int("vm", 0, "how many VMs each resource pool has")
	apiVersion := flag.String("api-version", "", "the API's version")
	flag.Parse()

	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	} else {
		model.Datacenter = *datacenters
	}
	model.Datastore, model.Machine = *datastores, *machines
	if *apiVersion != "" {
		model.ServiceContent.About.ApiVersion = *apiVersion
	}
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	defer model.Remove()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*username, *password)}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Printf("export GOVC_URL=%s GOVC_SIM_PID=%d\n", server.URL.Redacted(), os.Getpid())

	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
	<-stopped
}
