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

            With --web the token is for a browser, or a program that speaks HTTP: open the page with #token=TOKEN behind its \
            address, or paste it where the page asks for it; programs send the header "Authorization: Bearer TOKEN". The \
            allow list holds its SHA-256 only.
            """)

    @OptionGroup var keys: KeysOption
    @Option(help: "viewer, controller, worker or admin.") var role: String
    @Option(help: "By which the peer can be revoked; shown in logs and status.") var name: String
    @Flag(help: "Make a token for the page and for HTTP, in place of one for the sockets.") var web = false
    @Option(
        help: ArgumentHelp("File for the token, made with mode 600, in place of standard output.", valueName: "FILE"))
    var output: String?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard let role = PeerRole(rawValue: role) else {
            throw CommandFailure.usage("--role: \(AllowListError.unknownRole(role))")
        }
        let token: String
        do throws(TrustError) {
            token = try web ? enrolPage(as: role) : enrolPeer(as: role)
        } catch {
            switch error {
            case .list(.badName): throw CommandFailure.usage("--name: \(error)")
            case .list(.noPageRole): throw CommandFailure.usage("--role: \(error)")
            default: throw CommandFailure.failure(error.description)
            }
        }
        if let output {
            do throws(PrivateFileError) {
                try PrivateFile.write(token + "\n", to: output, isNew: true)
            } catch {
                // Nobody has the token: nobody is let in.
                try? keys.directory.changeAllowList { list throws(AllowListError) in try list.remove(name) }
                throw CommandFailure.failure("--output: \(error); nobody was enrolled")
            }
            Terminal.error("\(name) is let in as \(role) with the token in \(output), which is a secret")
        } else if json {
            Terminal.json(["name": name, "role": role.rawValue, "token": token, "kind": web ? "web" : "key"])
        } else {
            Terminal.error("\(name) is let in as \(role), with this token, which is a secret:")
            Terminal.print(token)
        }
    }

    private func enrolPeer(as role: PeerRole) throws(TrustError) -> String {
        let server = try keys.directory.serverKeys()
        let pair: CurveKeyPair
        do throws(ZMQError) {
            pair = try CurveKeyPair.generate()
        } catch {
            throw .library(error.description)
        }
        try keys.directory.changeAllowList { list throws(AllowListError) in
            try list.add(AllowList.Entry(name: name, role: role, key: pair.publicKey))
        }
        return AccessToken(serverKey: server.publicKey, keys: pair).text
    }

    private func enrolPage(as role: PeerRole) throws(TrustError) -> String {
        guard keys.directory.isThere else { throw .noKey(keys.directory.path) }
        let token = WebToken.make()
        try keys.directory.changeAllowList { list throws(AllowListError) in
            try list.add(AllowList.Page(name: name, role: role, token: token.hash))
        }
        return token.text
    }
}

struct Enrolled: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists who may come in: name, role, and whether with a key or with a web token.")

    @OptionGroup var keys: KeysOption
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() throws {
        let list: AllowList
        do throws(TrustError) {
            list = try keys.directory.allowList()
        } catch {
            throw CommandFailure.failure(error.description)
        }
        let all =
            list.entries.map { (name: $0.name, role: $0.role, kind: "key") }
            + list.pages.map { (name: $0.name, role: $0.role, kind: "web") }
        for one in all {
            if json {
                Terminal.json(["name": one.name, "role": one.role.rawValue, "kind": one.kind])
            } else {
                Terminal.print("\(one.name)  \(one.role)  \(one.kind)")
            }
        }
        for problem in list.problems { Terminal.error("a line that lets nobody in: \(problem)") }
        if !json, all.isEmpty { Terminal.error("nobody is enrolled in \(keys.directory.path)") }
    }
}

struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shuts a peer or a page out: removes its key or its web token from the allow list.",
        discussion: "A running server ends its connections within a second.")

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
