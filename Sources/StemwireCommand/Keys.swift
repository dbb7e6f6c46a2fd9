import ArgumentParser
import StemwireClient
import StemwireProtocol
import StemwireServer
import StemwireSystem
import ZeroMQ

/// Where a server's keys are.
struct KeysOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the server's key and allow list. Default: STEMWIRE_KEYS, or ~/.config/stemwire.",
            valueName: "DIR"))
    var keys: String?

    var directory: KeyDirectory { keys.map { KeyDirectory($0) } ?? .standard }
}

struct Keygen: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a server's key, and an empty list of who may come in.",
        discussion: """
            The folder (mode 0700) holds server.key (0600), which never leaves the machine, and allow.list. With keys a server \
            can listen at an address that others reach (`stemwire serve --bind`); let peers in with `stemwire enrol`.
            """)

    @OptionGroup var keys: KeysOption
    @Flag(help: "Replace the key: all tokens given out so far become worthless.") var replace = false
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        let key: CurvePublicKey
        do throws(TrustError) {
            key = try keys.directory.create(replaces: replace)
        } catch {
            throw CommandFailure.failure(error.description)
        }
        if json {
            Terminal.json(["keys": keys.directory.path, "public_key": key.z85])
        } else {
            Terminal.print("The server's key is in \(keys.directory.path); its public half is \(key)")
        }
    }
}

struct Enrol: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Lets a peer in: adds a new key to the server's allow list, and prints the token to give to the peer.",
        discussion: """
            viewer looks on; controller also runs the detector and starts UDFs; worker also computes; admin may do everything. \
            Roles are checked by the server at each request. A running server heeds the list at once.

            The token is printed once and kept nowhere: bring it to the peer by a safe way, into a file of mode 600 that is \
            named with --token, or into STEMWIRE_TOKEN.
            """)

    @OptionGroup var keys: KeysOption
    @Option(help: "viewer, controller, worker or admin.") var role: String
    @Option(help: "By which the peer can be revoked; shown in logs and status.") var name: String
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard let role = PeerRole(rawValue: role) else {
            throw CommandFailure.usage("--role: \(AllowListError.unknownRole(role))")
        }
        let token: AccessToken
        do {
            let server = try keys.directory.serverKeys()
            let pair = try CurveKeyPair.generate()
            token = AccessToken(serverKey: server.publicKey, keys: pair)
            try keys.directory.changeAllowList { list throws(AllowListError) in
                try list.add(AllowList.Entry(name: name, role: role, key: pair.publicKey))
            }
        } catch let error as TrustError {
            if case .list(.badName) = error { throw CommandFailure.usage("--name: \(error)") }
            throw CommandFailure.failure(error.description)
        }
        if json {
            Terminal.json(["name": name, "role": role.rawValue, "token": token.text])
        } else {
            Terminal.error("\(name) is let in as \(role), with this token, which is a secret:")
            Terminal.print(token.text)
        }
    }
}

struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shuts a peer out: removes its key from the allow list.",
        discussion: "A running server ends the peer's connections within a second.")

    @OptionGroup var keys: KeysOption
    @Argument(help: "As given to `stemwire enrol --name`.") var name: String

    func run() throws {
        do throws(TrustError) {
            try keys.directory.changeAllowList { list throws(AllowListError) in try list.remove(name) }
        } catch {
            throw CommandFailure.failure(error.description)
        }
        Terminal.error("\(name) is shut out")
    }
}
