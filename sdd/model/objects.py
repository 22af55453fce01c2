"""What a state is made of and the store holds: one value of each kind of object."""

from sdd.model import endpoint, health, network, record, sandbox, service, template

Object = (
    network.Network
    | template.Template
    | sandbox.Sandbox
    | endpoint.Endpoint
    | service.Service
    | service.Member
    | health.Verdict
    | record.Record
)
