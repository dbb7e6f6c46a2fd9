import ArgumentParser
import StemwireClient

/// How a client's commands are given a token.
struct TokenOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "File with the token that `stemwire enrol` printed; - for standard input. Default: what STEMWIRE_TOKEN holds, the token or a file's path.",
            valueName: "FILE"))
    var token: String?

    func read() throws -> AccessToken? {
        do throws(TokenError) {
            return try AccessToken.find(token)
        } catch {
            throw CommandFailure.usage("\(token == nil ? "STEMWIRE_TOKEN" : "--token"): \(error)")
        }
    }
}

extension CommandFailure {
    /// What a command ends with that gets no connection.
    init(_ error: ConnectError) {
        if case .badEndpoint = error {
            self = .usage(error.description)
        } else {
            self = error.isAboutKeys ? .failure(error.description) : .unreachable(error.description)
        }
    }
}
