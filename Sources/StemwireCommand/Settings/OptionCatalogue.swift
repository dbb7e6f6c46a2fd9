import ArgumentParser
import Foundation

/// The options that each command has, as the argument parser itself tells them.
struct OptionCatalogue {
    struct Option: Sendable {
        enum Kind: Sendable { case flag, value, values }

        /// Without its dashes, such as `control-port`.
        let name: String
        let kind: Kind
        /// As the help shows it; nil for what is worked out, or has none.
        let defaultValue: String?

        var environmentName: String { "STEMWIRE_" + name.uppercased().replacing("-", with: "_") }
    }

    private let commands: [String: [Option]]

    init() throws {
        let tool = try JSONDecoder().decode(Tool.self, from: Data(StemwireCommand._dumpHelp().utf8))
        commands = Dictionary(
            uniqueKeysWithValues: (tool.command.subcommands ?? []).flatMap { Self.commands($0, in: "") })
    }

    /// A command with those below it, each by its words, such as `adapt mpx`.
    private static func commands(_ command: Tool.Command, in parent: String) -> [(String, [Option])] {
        let words = parent + command.commandName
        return [(words, (command.arguments ?? []).compactMap(option))]
            + (command.subcommands ?? []).flatMap { commands($0, in: words + " ") }
    }

    /// The options of a command, by its words; nil when there is no such command.
    func options(of command: String) -> [Option]? { commands[command] }

    /// How many words at the beginning of a command line are the command's.
    func commandWords(of arguments: [String]) -> Int {
        var count = 0
        while count < arguments.count, commands[arguments[...count].joined(separator: " ")] != nil { count += 1 }
        return count
    }

    func isOption(_ name: String) -> Bool { commands.values.contains { $0.contains { $0.name == name } } }

    var names: [String] { commands.keys.sorted() }

    private static func option(_ argument: Tool.Argument) -> Option? {
        guard argument.kind != "positional", let name = argument.names?.first(where: { $0.kind == "long" })?.name,
            !["help", "version"].contains(name)
        else { return nil }
        return Option(
            name: name, kind: argument.kind == "flag" ? .flag : argument.isRepeating ? .values : .value,
            defaultValue: argument.defaultValue)
    }

    /// What of the parser's description is needed here.
    private struct Tool: Decodable {
        struct Command: Decodable {
            let commandName: String
            let subcommands: [Command]?
            let arguments: [Argument]?
        }

        struct Argument: Decodable {
            struct Name: Decodable {
                let kind: String
                let name: String
            }

            let kind: String
            let isRepeating: Bool
            let names: [Name]?
            let defaultValue: String?
        }

        let command: Command
    }
}
