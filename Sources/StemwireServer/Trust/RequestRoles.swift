import StemwireProtocol

extension WireRequest {
    /// The least role that may ask this; the table is in PROTOCOL.md, section 8.
    package var leastRole: PeerRole {
        // Writes a file of the server's machine where the request says.
        func writesFile(_ udf: WireUdfRequest) -> Bool { udf.name == "record" }
        return switch kind {
        case .startRun(let run) where run.udfs.contains(where: writesFile): .admin
        case .changeRun(let run) where run.udfs.contains(where: writesFile): .admin
        default: changesSomething ? .controller : .viewer
        }
    }
}
