import ArgumentParser
import StemwireServer
import StemwireViewer

/// Whom a server or relay lets in.
struct TrustOptions: ParsableArguments {
    @OptionGroup var keys: KeysOption
    @Option(
        help: ArgumentHelp(
            "Folder for sockets of this machine's programs (ipc://DIR), made with mode 700; who may enter it may do everything.",
            valueName: "DIR"))
    var ipc: String?
    @Option(help: ArgumentHelp("Connections of each socket, at most.", valueName: "N")) var connections = 1024

    /// With an address that others reach, keys are used unless all is open; else if they are asked for.
    func configuration(bind: String, isInsecure: Bool) -> TrustConfiguration {
        var trust = TrustConfiguration()
        let isNear = ["127.0.0.1", "localhost", "::1"].contains(bind)
        if keys.keys != nil || !isNear && !isInsecure && keys.directory.isThere { trust.keys = keys.directory }
        trust.ipcDirectory = ipc
        trust.maximumConnections = connections
        return trust
    }
}

extension WebGate {
    /// As the viewer asks.
    var guestBook: GuestBook {
        { token, isNew in
            self.guest(token, isNew: isNew).map { ViewerGuest(name: $0.name, role: $0.role) }
        }
    }
}
