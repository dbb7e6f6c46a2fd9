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
        try makeFolder()
        var paths: [String] = []
        for channel in outcome.channels {
            let path = "\(folder)/\(channel.fileName).npy"
            try NumpyFile.write(channel.array, to: path)
            paths.append(path)
            if withPictures, let picture = Picture(channel, navShape: outcome.navShape) {
                let path = "\(folder)/\(channel.fileName).png"
                try write(picture.png(), to: path)
                paths.append(path)
            }
        }
        let path = "\(folder)/run.json"
        try write(Array((outcome.json() + "\n").utf8), to: path)
        return paths + [path]
    }

    private func makeFolder() throws(SystemError) {
        var path = ""
        for part in folder.split(separator: "/", omittingEmptySubsequences: false) {
            path += part + "/"
            guard !part.isEmpty, mkdir(path, 0o777) != 0, errno != EEXIST else { continue }
            throw SystemError(operation: "make folder", subject: path)
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
        guard let file = fopen(path, "w") else { throw SystemError(operation: "create", subject: path) }
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, written == bytes.count else { throw SystemError(operation: "write", subject: path) }
    }
}

extension Picture {
    /// A channel as a picture of at least about 256 pixels: diffraction patterns on a logarithmic scale. Nil for channels
    /// that are no two-dimensional image.
    public init?(_ channel: RunOutcome.Channel, navShape: [Int]) {
        guard channel.array.shape.count == 2, channel.array.count > 0 else { return nil }
        let (height, width) = (channel.array.shape[0], channel.array.shape[1])
        let valid = channel.kind == .nav ? (0..<height * width).map { channel.isValid(at: $0) } : nil
        let picture = Picture(
            values: channel.array.doubles(), height: height, width: width, valid: valid,
            scale: channel.kind == .sig ? .logarithmic : .linear)
        let factor = max(1, 256 / max(height, width))
        self = factor > 1 ? picture.enlarged(factor) : picture
    }
}
