import Glibc
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// Writes a run's results into a folder: `<id>.<channel>.npy`, pictures if wanted, and `run.json`.
public struct RunFiles: Sendable {
    public let folder: String
    public let withPictures: Bool

    public init(folder: String, withPictures: Bool = false) {
        self.folder = folder
        self.withPictures = withPictures
    }

    /// Makes the folder if it is not there, and replaces files of the same names.
    ///
    /// - Returns: the paths, `run.json` last.
    /// - Throws: `NumpyFileError` or `SystemError` naming the file.
    public func write(_ outcome: RunOutcome) throws -> [String] {
        try Files.makeFolder(folder)
        var paths: [String] = []
        for channel in outcome.channels {
            let path = "\(folder)/\(channel.fileName).npy"
            try NumpyFile.write(channel.array, to: path)
            paths.append(path)
            if withPictures, let picture = Picture(channel, navShape: outcome.navShape) {
                let path = "\(folder)/\(channel.fileName).png"
                try Files.replace(path, by: picture.png())
                paths.append(path)
            }
        }
        let path = "\(folder)/run.json"
        try Files.replace(path, by: Array((outcome.json() + "\n").utf8))
        return paths + [path]
    }
}

/// Small files and folders.
enum Files {
    /// Makes a folder and those above it, as far as they are not there.
    static func makeFolder(_ folder: String) throws(SystemError) {
        var path = ""
        for part in folder.split(separator: "/", omittingEmptySubsequences: false) {
            path += part + "/"
            guard !part.isEmpty, mkdir(path, 0o777) != 0, errno != EEXIST else { continue }
            throw SystemError(operation: "make folder", subject: path)
        }
    }

    /// Writes a file; one that is there is replaced in one step, so that nobody sees half of it.
    static func replace(_ path: String, by bytes: [UInt8]) throws(SystemError) {
        let temporary = path + ".part"
        guard let file = fopen(temporary, "w") else { throw SystemError(operation: "create", subject: path) }
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, written == bytes.count, rename(temporary, path) == 0 else {
            let failure = SystemError(operation: "write", subject: path)
            unlink(temporary)
            throw failure
        }
    }
}

extension Picture {
    /// A channel as a picture of at least about 256 pixels: diffraction patterns on a logarithmic scale. Nil for channels
    /// that are no two-dimensional image.
    public init?(_ channel: RunOutcome.Channel, navShape: [Int]) {
        guard let picture = Picture(actualSize: channel) else { return nil }
        let factor = max(1, 256 / max(picture.height, picture.width))
        self = factor > 1 ? picture.enlarged(factor) : picture
    }

    /// A channel with one pixel for each of its elements.
    init?(actualSize channel: RunOutcome.Channel) {
        guard channel.kind != .single, channel.array.shape.count == 2, channel.array.count > 0 else { return nil }
        self.init(
            values: channel.array.doubles(), height: channel.array.shape[0], width: channel.array.shape[1],
            valid: channel.valid, scale: channel.kind == .sig ? .logarithmic : .linear)
    }
}
